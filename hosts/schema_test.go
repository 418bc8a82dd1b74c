package hosts_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
)

// TestSchema holds the schema to the parser: it takes the example and refuses every defect that a schema can express.
func TestSchema(t *testing.T) {
	t.Parallel()
	var inv *hosts.Inventory
	var schema jsonschema.Schema
	require.NoError(t, json.Unmarshal(inv.Schema(), &schema))
	require.Equal(t, "https://json-schema.org/draft/2020-12/schema", schema.Schema)
	resolved, err := schema.Resolve(nil)
	require.NoError(t, err)
	validate := func(text []byte) error {
		var v any
		require.NoError(t, yaml.Unmarshal(text, &v))
		asJSON, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(asJSON, &v))
		return resolved.Validate(v)
	}
	example, err := os.ReadFile(filepath.Join("testdata", "hosts.yaml"))
	require.NoError(t, err)
	require.NoError(t, validate(example))
	refused := 0
	for _, c := range badInventories {
		if !c.beyondSchema {
			require.Error(t, validate([]byte(c.text)), c.name)
			refused++
		}
	}
	require.Greater(t, refused, 25)
}
