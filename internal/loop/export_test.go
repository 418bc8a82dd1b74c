package loop

import "github.com/sotaloop/sotaloop/internal/compare"

// RowWarnings sums up what rows say of themselves, for tests.
func RowWarnings(rows []compare.Row) []string { return rowWarnings(rows) }

// Provenance reads what a diff says about where its code comes from, for tests.
func Provenance(diff string) (unlicensed, taken []string) { return provenance(diff) }
