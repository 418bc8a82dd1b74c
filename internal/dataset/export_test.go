package dataset

// SharedPrefixOf is sharedPrefix with bounds of one's own.
func SharedPrefixOf(s *Set, block, most int) (SharedPrefix, error) {
	return s.sharedPrefix(block, most)
}
