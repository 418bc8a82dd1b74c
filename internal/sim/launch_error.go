package sim

import (
	"fmt"
	"strings"
)

// launchError ends a launch with what the real engine would print. Status 2 is a mistake in the arguments.
type launchError struct {
	status int
	lines  []string
}

func (e *launchError) Error() string { return strings.Join(e.lines, "\n") }

// raised is a Python exception that nobody caught.
func raised(exception, format string, args ...any) *launchError {
	return &launchError{status: 1, lines: []string{"Traceback (most recent call last):",
		`  File "<simulated>", line 1, in <module>`, exception + ": " + fmt.Sprintf(format, args...)}}
}

// notSimulated refuses features that would change results in a way the model of time does not know.
func notSimulated(flags []string) *launchError {
	return &launchError{status: 1, lines: []string{
		fmt.Sprintf("NotImplementedError: the simulated GPU host does not model %s; launch without it", strings.Join(flags, ", "))}}
}

// outOfMemory is PyTorch's message, with the caller's first line before it.
func outOfMemory(g GPU, index int, b budget) string {
	free := max(0, b.rest-b.need*0.4)
	return fmt.Sprintf("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate %.2f GiB. GPU %d has a total capacity of %.2f GiB of which %.2f MiB is free. "+
		"Including non-PyTorch memory, this process has %.2f GiB memory in use. See documentation for Memory Management  (https://docs.pytorch.org/docs/stable/notes/cuda.html#environment-variables)",
		max(b.need*0.6, 2<<20)/gib, index, g.bytes()/gib, free/(1<<20), (g.bytes()-free)/gib)
}
