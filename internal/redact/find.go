package redact

import "io"

// Find reads from to its end, in bounded memory, and gives the kind of the first secret in it, "" where there is none.
func (r *Redactor) Find(from io.Reader) (kind string, err error) {
	w := r.Writer(io.Discard)
	if _, err := io.Copy(w, from); err != nil {
		return "", err
	}
	err = w.Close()
	return w.first, err
}
