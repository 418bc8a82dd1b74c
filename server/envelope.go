package server

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
)

// envelope is what JSON-RPC says of a message, before anybody looks at what it asks.
type envelope struct {
	id      json.RawMessage // of a request, as the client wrote it
	method  string
	refusal json.RawMessage // the answer to what is no message
	reply   bool            // the client answers; this server asks nothing over standard output
}

// isRequest says whether the message wants an answer.
func (e envelope) isRequest() bool { return e.refusal == nil && !e.reply && e.id != nil }

// openEnvelope reads a message. The library takes a null id for a notification, an error for a request, an object for an id,
// and calls whatever is no single object unreadable; here each is refused as what it is.
func openEnvelope(raw []byte) envelope {
	if len(raw) > maxMessage {
		return refused(mcp.PARSE_ERROR, nil, fmt.Sprintf("a message may have at most %d bytes", maxMessage))
	}
	if !json.Valid(raw) {
		return refused(mcp.PARSE_ERROR, nil, "the message is not JSON")
	}
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '{':
	case '[':
		return refused(mcp.INVALID_REQUEST, nil, "batches are not served: send one message at a time, as the protocol asks since 2025-06-18")
	default:
		return refused(mcp.INVALID_REQUEST, nil, "a message is one JSON object")
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil { // a valid object always decodes
		return refused(mcp.PARSE_ERROR, nil, "the message is not JSON")
	}
	id, hasID := m["id"]
	if hasID && (len(id) == 0 || id[0] != '"' && id[0] != '-' && (id[0] < '0' || id[0] > '9')) {
		return refused(mcp.INVALID_REQUEST, nil, "an id is a string or a number")
	}
	if string(m["jsonrpc"]) != `"2.0"` {
		return refused(mcp.INVALID_REQUEST, id, `a message has the member "jsonrpc" with the value "2.0"`)
	}
	e := envelope{id: id}
	name, named := m["method"]
	if _, ok := m["result"]; !named && (ok || m["error"] != nil) {
		return envelope{reply: true}
	}
	if !named || json.Unmarshal(name, &e.method) != nil || e.method == "" {
		return refused(mcp.INVALID_REQUEST, id, `a message names its "method" in a string`)
	}
	return e
}

// refused is a message that nobody serves; id is nil where there is none to name.
func refused(code int, id json.RawMessage, message string) envelope {
	a := answer{JSONRPC: mcp.JSONRPC_VERSION, ID: id}
	if id == nil {
		a.ID = json.RawMessage("null")
	}
	a.Error.Code, a.Error.Message = code, message
	raw, err := json.Marshal(a)
	if err != nil { // strings and a valid id always encode
		raw = []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}`)
	}
	return envelope{refusal: raw}
}

// ownID gives an answer the id that its request has: the library reads numbers as floats, and 2^53 + 1 comes back as 2^53.
func ownID(sent []byte, id json.RawMessage) []byte {
	const head = `{"jsonrpc":"2.0","id":`
	if len(id) == 0 || id[0] == '"' || !bytes.HasPrefix(sent, []byte(head)) {
		return sent
	}
	given, rest, ok := bytes.Cut(sent[len(head):], []byte(","))
	if !ok || bytes.Equal(given, id) || !bytes.HasPrefix(rest, []byte(`"result":`)) && !bytes.HasPrefix(rest, []byte(`"error":`)) {
		return sent // it is right, or a question to the client with an id of its own
	}
	return fmt.Appendf(nil, "%s%s,%s", head, id, rest)
}
