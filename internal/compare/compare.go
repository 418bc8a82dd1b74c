// Package compare turns rows into answers: which rows may stand beside each other, how candidates rank, which one wins
// per framework and scenario, and the verdict on the target against each comparison side.
//
// Rows enter through ReadRows (strict, errors with file and line) or are filled by the measuring code. Nothing here
// trusts a row's own sla.passed: it is recomputed. A fact that is missing from foreign rows is a warning; a fact that
// is present and unequal is a Refusal that names the rule, the field and both values. Statistics live in package stats.
package compare
