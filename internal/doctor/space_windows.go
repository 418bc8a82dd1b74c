package doctor

// unwritable is not known here: writing would be the only way to find out.
func unwritable(string) string { return "" }

// freeMiB is not known here.
func freeMiB(string) (int64, bool) { return 0, false }
