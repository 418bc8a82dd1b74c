package worker

import "strconv"

// threadVariables say how many threads the pools of an engine have.
var threadVariables = []string{"OMP_NUM_THREADS", "MKL_NUM_THREADS"}

// SetThreads gives an engine's thread pools as many threads as there are cores, where its environment does not say
// otherwise. MKL follows OMP.
func SetThreads(env map[string]string, cores int) {
	want := strconv.Itoa(cores)
	for _, name := range threadVariables {
		if given, ok := env[name]; ok {
			want = given
			continue
		}
		env[name] = want
	}
}

// Threads reads what an environment says of an engine's thread pools, by variable; what is no number is left out.
func Threads(env map[string]string) map[string]int {
	out := map[string]int{}
	for _, name := range threadVariables {
		if n, err := strconv.Atoi(env[name]); err == nil {
			out[name] = n
		}
	}
	return out
}
