package loop

import (
	"maps"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/search"
)

// pruned is a space without the combinations that cannot run.
func pruned(c *contract.Contract, args searchArgs, space search.Space) (search.Space, error) {
	fw, err := frameworkOf(c, args.Entry)
	if err != nil {
		return space, err
	}
	space.Legal = func(knobs map[string]any) string {
		flags := maps.Clone(args.Base)
		maps.Copy(flags, knobs)
		return framework.Unfit(fw, flags, c)
	}
	return space, nil
}
