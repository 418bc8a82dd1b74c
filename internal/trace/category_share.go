package trace

import (
	"cmp"
	"slices"
)

// sortCategories puts the largest first and fills in the shares.
func sortCategories(list []CategoryShare, totalUS float64) {
	for i := range list {
		list[i].Share = ratio(list[i].TotalUS, totalUS)
	}
	slices.SortStableFunc(list, func(x, y CategoryShare) int {
		return cmp.Or(cmp.Compare(y.TotalUS, x.TotalUS), cmp.Compare(x.Category, y.Category))
	})
}
