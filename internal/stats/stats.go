// Package stats decides whether a difference is real: exact sign-flip tests and intervals, looks with alpha spending,
// detectable effects, quantiles, Student's t and a slope test. It knows samples, not what they were measured on.
//
// The test. For a sample x of n independent differences that are symmetric about θ, all 2ⁿ sign patterns of x − θ are
// equally likely; p(θ) is the share of patterns whose |sum| is at least the observed one. The interval is the set of θ
// with p(θ) > α. For θ below the mean, p(θ) = 2·(1 + #{non-empty subsets of x with mean ≤ θ}) / 2ⁿ (Hartigan 1969), so
// that both limits are order statistics of the 2ⁿ − 1 subset means: exact, and without randomness.
//
// Note: tried instead, simulated at 8–12 differences with 10 % slow outliers: bootstrap-t covers 89–92 %, BCa 86 %,
// the sign-flip interval 95 %.
package stats

// Method names the test and its version; a change of any result is a new version.
const Method = "signflip/v1"

// MaxN is the largest sample the exact test takes: 2¹⁶ patterns.
const MaxN = 16
