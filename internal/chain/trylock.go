package chain

// TryLock takes the exclusive lock at path where nobody holds it. The kernel frees it when the process dies; release
// frees it before. The lock file itself stays.
func TryLock(path string) (release func(), held bool, err error) {
	f, err := openLock(path)
	if err != nil {
		return nil, false, err
	}
	held, err = tryLock(f)
	if err != nil || !held {
		_ = f.Close()
		return nil, false, err
	}
	return func() { _ = f.Close() }, true, nil
}
