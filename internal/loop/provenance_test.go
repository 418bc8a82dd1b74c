package loop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/loop"
)

func TestWhereCodeComesFrom(t *testing.T) {
	t.Parallel()
	file := func(name string, lines ...string) string {
		return "--- a/" + name + "\n+++ b/" + name + "\n@@ -1,9 +1,9 @@\n" + strings.Join(lines, "\n") + "\n"
	}
	for name, c := range map[string]struct{ diff, unlicensed, taken string }{
		"a note that goes":          {file("a.py", "-# Copyright 2024 The Team", "+x = 1"), "a.py: # Copyright 2024 The Team", ""},
		"an identifier that goes":   {file("a.cu", "-// SPDX-License-Identifier: MIT"), "a.cu: // SPDX-License-Identifier: MIT", ""},
		"a kernel with no licence":  {file("a.py", "+# Adapted from https://github.com/vllm-project/vllm/blob/main/x.py"), "", "a.py: # Adapted from https://github.com/vllm-project/vllm/blob/main/x.py"},
		"a licence in another file": {file("a.py", "+# copied from vllm/model_executor/x.py") + file("b.py", "+# licensed under Apache-2.0"), "", "a.py: # copied from vllm/model_executor/x.py"},
		"a note that moves":         {file("a.py", "-# Copyright 2024 The Team") + file("b.py", "+# Copyright 2024 The Team"), "", ""},
		"a kernel with its licence": {file("a.py", "+# SPDX-License-Identifier: Apache-2.0", "+# Adapted from https://github.com/vllm-project/vllm"), "", ""},
		"a copy between devices":    {file("a.py", "+    # copied from the host to the device, taken from the pool"), "", ""},
		"a link":                    {file("a.py", "+# see https://github.com/pytorch/pytorch/issues/1"), "", ""},
		"what was there before":     {file("a.py", " # Adapted from https://github.com/vllm-project/vllm", "-old", "+new"), "", ""},
	} {
		unlicensed, taken := loop.Provenance(c.diff)
		require.Equal(t, c.unlicensed, strings.Join(unlicensed, "\n"), name)
		require.Equal(t, c.taken, strings.Join(taken, "\n"), name)
	}
}
