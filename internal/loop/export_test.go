package loop

import "github.com/sotaloop/sotaloop/internal/compare"

// RowWarnings sums up what rows say of themselves, for tests.
func RowWarnings(rows []compare.Row) []string { return rowWarnings(rows) }
