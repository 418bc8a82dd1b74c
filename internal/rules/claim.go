package rules

import (
	"fmt"
	"regexp"
)

// boundless are words that claim more than one campaign can show: being the best of all, everywhere or for ever.
var boundless = regexp.MustCompile(`(?i)` +
	`\b(global(ly)?|universal(ly)?|absolute(ly)?|undisputed|overall|all[- ]time|world('s)?)[- ]+(the )?(sota|state[- ]of[- ]the[- ]art|best|fastest|record|optimum|leader)\b` +
	`|\b(sota|state[- ]of[- ]the[- ]art|best|fastest|optimal|unbeat(en|able))\b[^.;\n]{0,40}\b(in the world|world-?wide|universally|globally|everywhere|anywhere|ever (built|made|measured)|of all time|on (any|all|every) (hardware|gpus?|models?|workloads?))\b` +
	`|\bunbeatable\b` +
	`|\b(sets?|achiev\w+|reach\w+|establish\w+|new|is|are|now)\b[^.;\n]{0,20}\b(sota|state[- ]of[- ]the[- ]art)\b[^.;\n]{0,20}\bfor (all|every|any)\b`)

func claimScope(f *Facts) *Violation {
	for _, w := range f.Words {
		if found := boundless.FindString(w.Text); found != "" {
			return &Violation{What: fmt.Sprintf("%s claims more than a campaign can show: %q", w.Field, found), Field: w.Field, Got: found,
				Want: []string{"what was measured, under the recorded model, workload, hardware, commits, precision and SLA"},
				Fix:  "say what the change does and what it was measured on; the report words the claim itself"}
		}
	}
	return nil
}
