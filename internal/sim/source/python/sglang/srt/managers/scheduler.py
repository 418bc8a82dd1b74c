"""Decides what the next step computes."""


class Scheduler:
    def __init__(self, tp_worker) -> None:
        self.tp_worker = tp_worker
        self.running_batch = None

    def event_loop_overlap(self) -> None:
        while True:
            batch = self.get_next_batch_to_run()
            if batch is not None:
                self.process_batch_result(batch, self.run_batch(batch))

    def run_batch(self, batch):
        forward_batch = batch.get_model_worker_batch()
        logits = self.tp_worker.model_runner.forward(forward_batch)
        return self.tp_worker.model_runner.sample(logits, forward_batch)
