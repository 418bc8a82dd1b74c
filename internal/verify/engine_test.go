package verify_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/genuine"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/verify"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// TestRowsSayWhatTheirLaunchFound gives a launch an identity, and its rows what a forger would like them to say.
func TestRowsSayWhatTheirLaunchFound(t *testing.T) {
	t.Parallel()
	id := &genuine.Identity{Kind: genuine.KindWheel, Packages: []genuine.Distribution{{Name: "sglang", Version: "1"}}, Startup: []genuine.Startup{}, Modified: []string{"a.py of sglang differs from its RECORD"}, Notes: []string{}}
	facts := &worker.EngineFacts{Argv: []string{}, EnvNames: []string{}, Libraries: []string{}, Processes: []worker.Proc{}, Identity: id, Suspect: []string{"its process has LD_X, which it was not given"}}
	all := slices.Concat(id.Modified, facts.Suspect)
	for name, x := range map[string]struct {
		row  *compare.Engine
		says string
	}{
		"as found":                {&compare.Engine{Identity: "wheel", SHA256: id.Sum(), Modified: all}, ""},
		"more, found later":       {&compare.Engine{Identity: "wheel", SHA256: id.Sum(), Modified: append([]string{"its files changed while it was measured"}, all...)}, ""},
		"a finding left out":      {&compare.Engine{Identity: "wheel", SHA256: id.Sum(), Modified: id.Modified}, "leaves out that its process has LD_X"},
		"everything left out":     {&compare.Engine{Identity: "wheel", SHA256: id.Sum()}, "leaves out that a.py of sglang"},
		"another engine's digest": {&compare.Engine{Identity: "wheel", SHA256: "ab", Modified: all}, "the launch found wheel"},
		"another kind":            {&compare.Engine{Identity: "editable", SHA256: id.Sum(), Modified: all}, "is of engine editable"},
		"nothing said":            {nil, "does not say what engine it is of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := campaign(t)
			forge(t, dir, func(l entries) entries {
				at := l.at(t, "launch.ended", 0)
				var end loop.LaunchEnded
				require.NoError(t, json.Unmarshal(l[at].Payload, &end))
				end.Engine = facts
				l[at].Payload, _ = json.Marshal(end)
				for i := range l {
					var p loop.PointMeasured
					if l[i].Kind != "point.measured" || json.Unmarshal(l[i].Payload, &p) != nil || p.Row.LaunchID != end.Launch {
						continue
					}
					p.Row.Engine = x.row
					l[i].Payload, _ = json.Marshal(p)
				}
				return l
			})
			res, err := verify.Path(t.Context(), dir, verify.Options{Version: release})
			require.NoError(t, err)
			at := slices.IndexFunc(res.Checks, func(k verify.Check) bool { return k.Name == "runs" })
			require.GreaterOrEqual(t, at, 0)
			if x.says == "" {
				require.Empty(t, res.Checks[at].Problem)
			} else {
				require.Contains(t, res.Checks[at].Problem, x.says)
			}
		})
	}
}
