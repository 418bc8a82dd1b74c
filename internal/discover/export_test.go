package discover

import (
	"context"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
)

// SurveyWithin is Survey in as many seconds.
func SurveyWithin(ctx context.Context, conn hosts.Conn, seconds int) (*Found, error) {
	return surveyWithin(ctx, conn, limits{search: time.Duration(seconds) * time.Second, query: time.Duration(seconds) * time.Second})
}
