package yamlfile

import (
	"bytes"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Block is where a key and its value stand in a file, for lines that are to be put below them. Lines and columns count
// from 1.
type Block struct {
	Line   int  // of the key; 0 where there is no such key
	Column int  // of the key
	End    int  // last line that belongs to the value; Line where nothing stands below it
	Indent int  // column of the value's own keys; 0 where there are none
	Inline bool // the value stands in braces, is an alias, or is no mapping: nothing can be put below it
}

// Locate finds a key by its path from the root of the only document. The file has been read and found valid before.
// A key that is missing has Line 0; what is missing above it makes it missing too.
func Locate(data []byte, path ...string) (Block, error) {
	w := &Walker{}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) // the parser counts some of them twice
	at := w.Parse(data)
	if err := w.Err(); err != nil {
		return Block{}, err
	}
	var b Block
	lines := strings.Split(string(data), "\n")
	for _, name := range path {
		kv := w.child(at, name)
		if kv == nil {
			return Block{}, nil
		}
		b = Block{}
		b.Line, b.Column = Position(kv.Key)
		b.End = blockEnd(lines, b.Line, b.Column)
		b.Inline = describe(kv.Value, &b, lines[b.Line-1])
		at = kv.Value
	}
	return b, nil
}

// child finds a key of a mapping itself; what merge keys bring does not stand there.
func (w *Walker) child(n ast.Node, name string) *ast.MappingValueNode {
	m, ok := w.Resolve(n).(ast.MapNode)
	if !ok {
		return nil
	}
	for it := m.MapRange(); it.Next(); {
		if kv := it.KeyValue(); kv.Key.Type() != ast.MergeKeyType && kv.Key.GetToken().Value == name {
			return kv
		}
	}
	return nil
}

// describe notes the column of a value's keys and says whether nothing can be put below it; line is where its key stands.
func describe(value ast.Node, b *Block, line string) (inline bool) {
	if a, ok := value.(*ast.AnchorNode); ok {
		value = a.Value
	}
	switch v := value.(type) {
	case nil, *ast.NullNode: // somebody wrote it, or nothing
		_, after, _ := strings.Cut(line[b.Column-1:], ":")
		after = strings.TrimSpace(after)
		return after != "" && !strings.HasPrefix(after, "#")
	case *ast.MappingValueNode:
		b.Indent = columnOf(v)
		return false
	case *ast.MappingNode:
		if v.IsFlowStyle || len(v.Values) == 0 {
			return true
		}
		b.Indent = columnOf(v.Values[0])
		return false
	}
	return true
}

func columnOf(v *ast.MappingValueNode) int {
	_, column := Position(v.Key)
	return column
}

// blockEnd is the last line of what is indented deeper than the key; comments and empty lines below it belong to what follows,
// unless they are indented deeper too.
func blockEnd(lines []string, line, column int) int {
	end := line
	for i := line; i < len(lines); i++ {
		text := strings.TrimRight(lines[i], "\r")
		trimmed := strings.TrimLeft(text, " ")
		switch indent := len(text) - len(trimmed); {
		case trimmed == "":
			continue
		case indent >= column:
			end = i + 1
		case strings.HasPrefix(trimmed, "#"):
			continue
		default:
			return end
		}
	}
	return end
}
