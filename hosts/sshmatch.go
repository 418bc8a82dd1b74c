package hosts

import (
	"strings"
)

// match decides a Match line. Its criteria must all hold; one that cannot be told here (exec, localnetwork, …) is
// refused only where all before it hold, for else it does not matter.
func (r *configReader) match(d directive) (bool, error) {
	words := d.args
	for len(words) > 0 {
		criterion, negated := strings.CutPrefix(strings.ToLower(words[0]), "!")
		words = words[1:]
		holds, used, ok := r.criterion(criterion, words)
		if !ok {
			return false, r.refuse(directive{keyword: "match " + criterion, args: d.args, place: d.place}, "cannot be decided here")
		}
		if holds == negated {
			return false, nil
		}
		words = words[used:]
	}
	return true, nil
}

// criterion decides one criterion and says how many words it took; ok is false where it cannot be told.
func (r *configReader) criterion(name string, words []string) (holds bool, used int, ok bool) {
	if attribute, value, inline := strings.Cut(name, "="); inline {
		name, words = attribute, []string{value}
		defer func() { used = 0 }()
	}
	switch name {
	case "all":
		return true, 0, true
	case "final":
		r.sawFinal = true
		return r.isFinal, 0, true
	case "canonical": // in OpenSSH, too, it holds in every second pass
		return r.isFinal, 0, true
	}
	var subject string
	switch name {
	case "host":
		subject = r.hostName()
	case "originalhost":
		subject = r.alias
	case "user":
		subject = r.first("user", r.localUser)
	case "localuser":
		subject = r.localUser
	default:
		return false, 0, false
	}
	if len(words) == 0 {
		return false, 0, false
	}
	return matchList(strings.Split(words[0], ","), subject), 1, true
}

// hostName is the address to connect to.
func (r *configReader) hostName() string {
	name := r.first("hostname", "%h")
	return strings.NewReplacer("%%", "%", "%h", r.alias).Replace(name)
}
