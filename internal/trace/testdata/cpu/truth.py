"""Self CPU time (us) and calls of each operator, by torch.autograd.profiler_util; user annotations are left out.

python truth.py record DIR      profiles operators, annotations and threads that mix, and writes
                                DIR/threads.trace.json.gz and, from the same profile, its truth DIR/threads.json
python truth.py of TRACE.gz...  prints the truth of traces: their events, put through the same code
"""
import gzip, json, sys, threading
import torch
from torch.autograd.profiler_util import EventList, FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

lib = torch.library.Library("demo", "DEF")
lib.define("annotated(Tensor x) -> Tensor")


@torch.library.impl(lib, "annotated", "CPU")
def annotated(x):
    y = x + 1
    with record_function("inside_an_operator"):
        sum(i * i for i in range(20_000))  # Python's own time: the annotation's, not the operator's
        y = y * 2
    return y


def backward(w):
    (w @ w).relu().sum().backward()


def record(folder):
    x, w = torch.rand(64, 64), torch.rand(64, 64, requires_grad=True)
    count = torch.ones(8, dtype=torch.int32)
    every = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
    with profile(activities=[ProfilerActivity.CPU], experimental_config=every) as p:
        for n in range(3):
            with record_function(f"step[DECODE bs={n + 1}]"):
                torch.ops.demo.annotated(x)
                torch.topk(torch.softmax(x @ x, -1), 4)
                t = count.float().div_(count)  # passed on to itself with promoted types
                other = threading.Thread(target=backward, args=(w,))
                other.start()
                x.sort()
                other.join()
                futures = [torch.jit.fork(torch.mm, x, x)]
                [torch.jit.wait(f) for f in futures]
    p.export_chrome_trace(f"{folder}/threads.trace.json.gz")
    with open(f"{folder}/threads.json", "w") as f:
        json.dump(truth(p.key_averages()), f, indent=1)


def truth(averages):
    rows = {e.key: {"us": round(e.self_cpu_time_total, 3), "calls": e.count} for e in averages if not e.is_user_annotation}
    return {"torch": torch.__version__, "operators": rows}


def of(path):
    events = [e for e in json.load(gzip.open(path))["traceEvents"] if e.get("cat") in ("cpu_op", "user_annotation")]
    first = min(e["ts"] for e in events)
    tree = EventList(
        FunctionEvent(id=n, name=e["name"], thread=e["tid"], start_us=e["ts"] - first, end_us=e["ts"] - first + e["dur"], stack=[],
                      is_user_annotation=e["cat"] == "user_annotation")
        for n, e in enumerate(events)
    )
    tree._build_tree()
    return truth(tree.key_averages())


if sys.argv[1] == "record":
    record(sys.argv[2])
else:
    json.dump({path.split("/")[0]: of(path) for path in sys.argv[2:]}, sys.stdout, indent=1)
