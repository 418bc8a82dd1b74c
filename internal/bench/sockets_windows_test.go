package bench_test

// reuseAddress does nothing: a port that is in use is one that there is no second of.
func reuseAddress(uintptr) {}
