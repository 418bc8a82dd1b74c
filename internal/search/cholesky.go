package search

import "math"

// cholesky factorises a symmetric positive definite matrix in place into its lower triangle L, A = L·Lᵀ; false when
// it is not positive definite.
func cholesky(a [][]float64) bool {
	for i := range a {
		for j := range i + 1 {
			sum := a[i][j]
			for k := range j {
				sum -= a[i][k] * a[j][k]
			}
			if i != j {
				a[i][j] = sum / a[j][j]
				continue
			}
			if sum <= 0 || math.IsNaN(sum) {
				return false
			}
			a[i][i] = math.Sqrt(sum)
		}
	}
	return true
}

// forward solves L·x = b into out.
func forward(l [][]float64, b, out []float64) {
	for i := range b {
		sum := b[i]
		row := l[i]
		for k := range i {
			sum -= row[k] * out[k]
		}
		out[i] = sum / row[i]
	}
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
