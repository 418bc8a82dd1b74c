package trace

// category is the profiler's kind of event, as far as tables need it.
type category uint8

const (
	catOther category = iota
	catKernel
	catMemcpy
	catMemset
	catOp
	catPython
	catRuntime
	catNote
	catGPUNote
	catFlow
	catSpan
)

// categoryOf names the category of a "cat" value.
func categoryOf(b []byte) category {
	switch string(b) {
	case "kernel":
		return catKernel
	case "gpu_memcpy":
		return catMemcpy
	case "gpu_memset":
		return catMemset
	case "cpu_op":
		return catOp
	case "python_function":
		return catPython
	case "cuda_runtime", "cuda_driver", "hip_runtime", "hip_driver", "xpu_runtime", "xpu_driver", "privateuse1_runtime", "privateuse1_driver":
		return catRuntime
	case "user_annotation":
		return catNote
	case "gpu_user_annotation":
		return catGPUNote
	case "ac2g":
		return catFlow
	case "Trace":
		return catSpan
	}
	return catOther
}

// isGPU reports whether events of the category are GPU work.
func (c category) isGPU() bool { return c == catKernel || c == catMemcpy || c == catMemset }

// hasArgs reports whether the event's args hold something the tables need.
func (c category) hasArgs() bool { return c.isGPU() || c == catOp || c == catRuntime }

// event is one trace event as it lies in the text; its slices are valid until the window moves.
type event struct {
	ph       byte
	cat      category
	escaped  bool // the name holds escapes
	timed    bool // ts is there and finite
	lasting  bool // dur is there and finite
	bad      bool // a time is no finite number in range
	name     []byte
	pid, tid []byte
	ts, dur  int64 // nanoseconds
	id       int64 // of flows
	args     eventArgs
}

// eventArgs are the args the tables use; ids are 0 where absent.
type eventArgs struct {
	external    int64
	correlation int64
	stream      int64
	graph       int64
	node        int64
	hasStream   bool
	hasNode     bool
	types       []byte // "Input type", raw
	dims        []byte // "Input Dims", raw
}

// parse reads the object at b[i] and returns the index after it.
func (e *event) parse(b []byte, i int) int {
	*e = event{}
	argsAt := -1
	for i++; ; {
		i = skipSpace(b, i)
		if i >= len(b) {
			return short
		}
		switch b[i] {
		case '}':
			if argsAt >= 0 && e.cat.hasArgs() {
				if end := e.args.parse(b, argsAt); end < 0 {
					return end
				}
			}
			return i + 1
		case ',':
			i++
			continue
		case '"':
		default:
			return broken
		}
		key, at := keyAt(b, i)
		if at < 0 {
			return at
		}
		if string(key) == "args" && b[at] == '{' {
			if e.cat.hasArgs() {
				i = e.args.parse(b, at)
			} else {
				argsAt = at
				i = skipNested(b, at)
			}
		} else {
			i = e.field(b, key, at)
		}
		if i < 0 {
			return i
		}
	}
}

// keyAt reads the key whose quote is at i and returns the index where its value begins.
func keyAt(b []byte, i int) (key []byte, at int) {
	i++
	j := i
	for j < len(b) && b[j] != '"' {
		if b[j] == '\\' {
			j++
		}
		j++
	}
	if j >= len(b) {
		return nil, short
	}
	key = b[i:j]
	j = skipSpace(b, j+1)
	if j >= len(b) {
		return nil, short
	}
	if b[j] != ':' {
		return nil, broken
	}
	if j = skipSpace(b, j+1); j >= len(b) {
		return nil, short
	}
	return key, j
}

// field reads the value at b[at] into the field that key names.
func (e *event) field(b, key []byte, at int) int {
	if b[at] == '"' {
		end, escaped := stringEnd(b, at+1)
		if end < 0 {
			return end
		}
		e.text(key, b[at+1:end], escaped)
		return end + 1
	}
	end := skipValue(b, at)
	if end < 0 {
		return end
	}
	v := b[at:end]
	switch string(key) {
	case "ts":
		e.ts, e.timed = parseNanos(v)
		e.bad = e.bad || !e.timed
	case "dur":
		e.dur, e.lasting = parseNanos(v)
		e.bad = e.bad || !e.lasting || e.dur < 0
	case "pid":
		e.pid = v
	case "tid":
		e.tid = v
	case "id":
		e.id, _ = parseInt(v)
	}
	return end
}

// text takes a string value.
func (e *event) text(key, v []byte, escaped bool) {
	switch string(key) {
	case "ph":
		if len(v) == 1 {
			e.ph = v[0]
		}
	case "cat":
		e.cat = categoryOf(v)
	case "name":
		e.name, e.escaped = v, escaped
	case "pid":
		e.pid = v
	case "tid":
		e.tid = v
	case "id":
		e.id, _ = parseInt(v)
	case "ts", "dur": // quoted times are no numbers
		e.bad = true
	}
}

// parse reads the args object at b[i] and returns the index after it.
func (a *eventArgs) parse(b []byte, i int) int {
	for i++; ; {
		i = skipSpace(b, i)
		if i >= len(b) {
			return short
		}
		switch b[i] {
		case '}':
			return i + 1
		case ',':
			i++
			continue
		case '"':
		default:
			return broken
		}
		key, at := keyAt(b, i)
		if at < 0 {
			return at
		}
		end := skipValue(b, at)
		if end < 0 {
			return end
		}
		a.set(key, b[at:end])
		i = end
	}
}

// set takes one arg.
func (a *eventArgs) set(key, v []byte) {
	switch string(key) {
	case "External id", "external id":
		a.external, _ = parseInt(v)
	case "correlation":
		a.correlation, _ = parseInt(v)
	case "stream", "cuda_stream":
		a.stream, a.hasStream = parseInt(v)
	case "graph id":
		a.graph, _ = parseInt(v)
	case "graph node id":
		a.node, a.hasNode = parseInt(v)
	case "Input type":
		a.types = v
	case "Input Dims":
		a.dims = v
	}
}
