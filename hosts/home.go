package hosts

import (
	"context"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Home gives the absolute home folder of the account on the host, for "~/" in arguments of a command.
func Home(ctx context.Context, conn Conn) (string, error) {
	res, err := conn.Run(ctx, script(`cd && pwd`))
	if err != nil {
		return "", err
	}
	home := strings.TrimSuffix(string(res.Stdout), "\n")
	if !res.IsSuccess() || !strings.HasPrefix(home, "/") {
		return "", fault.New(fault.NotFound, "the account has no home folder on the host: %s", fault.Foreign(string(res.Stderr), maxExcerpt)).
			Hint("give the account a home folder")
	}
	return home, nil
}
