package worker

// What the tests of parsers reach into.
var (
	ParseProcStat = func(line string) (pid, ppid int, start, cpu uint64, err error) {
		s, err := parseProcStat(line)
		return s.pid, s.ppid, s.start, s.cpu, err
	}
	ParseListeners = parseListeners
	ParsePressure  = parsePressure
	ParseCPU       = func(stat string) (busy, all uint64, ok bool) { t, ok := parseCPUTimes(stat); return t.busy, t.all, ok }
	ParseCores     = func(stat string, cores []int) (busy, all uint64, ok bool) {
		t, ok := parseCoreTimes(stat, cores)
		return t.busy, t.all, ok
	}
	ParseCPUInfo   = parseCPUInfo
	ParseRollup    = parseRollup
	CleanText      = cleanText
	CleanLine      = cleanLine
	Classify       = classify
	IsComplete     = isComplete
	DecodeAnswer   = decodeAnswer
	ParseLibraries = parseLibraries
	LayTar         = layTar
)

// CPUClocks reads settings of clocks under a folder.
func CPUClocks(root string) map[string]string { return cpuClocks(root) }
