package loop

import (
	"fmt"
	"maps"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/search"
)

// pruned is a space without the combinations that cannot run.
func pruned(c *contract.Contract, args searchArgs, space search.Space) (search.Space, error) {
	side, ok := c.Side(args.Entry)
	if !ok {
		return space, fmt.Errorf("no side %q", args.Entry)
	}
	fw, err := framework.Of(side.Framework)
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
