package stats

// Ranked is the selection behind the second look.
var Ranked = ranked
