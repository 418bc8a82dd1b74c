package transcripts

import (
	"encoding/json"
	"time"
)

// Exchange is one tool call with its answer, or a message that is none.
type Exchange struct {
	Seq     int // of the request's record
	Time    time.Time
	Took    time.Duration // until the answer was sent; 0 while there is none
	Session string
	Method  string          // "tools/call", another method, "" for bytes that are no message
	Tool    string          // of a tools/call
	Args    json.RawMessage // of a tools/call
	Text    string          // of bytes that are no message
	Done    bool            // an answer is recorded
	IsError bool
	Result  json.RawMessage // structured content, or the fault of a refusal; nil where there is none
}

// call is what an exchange needs of a message.
type call struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"params"`
	Result *struct {
		IsError           bool            `json:"isError"`
		StructuredContent json.RawMessage `json:"structuredContent"`
		Content           []struct {
			Text string `json:"text"`
		} `json:"content"`
	} `json:"result"`
	Error json.RawMessage `json:"error"`
}

// Exchanges puts records together as they belong, in the order of the requests. What the server sent unasked is left out.
func Exchanges(records []Record) []Exchange {
	var out []Exchange
	open := map[string]int{}
	for _, r := range records {
		if r.Kind == Undecodable {
			out = append(out, Exchange{Seq: r.Seq, Time: r.Time, Session: r.Session, Text: r.Text})
			continue
		}
		var m call
		if json.Unmarshal(r.Message, &m) != nil {
			continue
		}
		key := r.Session + "\x00" + string(m.ID)
		switch at, asked := open[key]; {
		case r.Kind == Received:
			if m.ID != nil {
				open[key] = len(out)
			}
			out = append(out, Exchange{Seq: r.Seq, Time: r.Time, Session: r.Session, Method: m.Method, Tool: m.Params.Name, Args: m.Params.Arguments})
		case asked && m.Method == "" && m.ID != nil:
			out[at].answer(m, r.Time)
			delete(open, key)
		}
	}
	return out
}

// answer takes an answer in.
func (x *Exchange) answer(m call, at time.Time) {
	x.Done, x.Took = true, at.Sub(x.Time)
	switch {
	case m.Error != nil:
		x.IsError, x.Result = true, m.Error
	case m.Result == nil:
	case m.Result.IsError:
		x.IsError = true
		if len(m.Result.Content) > 0 && json.Valid([]byte(m.Result.Content[0].Text)) {
			x.Result = json.RawMessage(m.Result.Content[0].Text)
		}
	default:
		x.Result = m.Result.StructuredContent
	}
}

// Of keeps the records that belong to a campaign.
func Of(records []Record, campaign string) []Record {
	var out []Record
	for _, i := range belonging(records, campaign) {
		out = append(out, records[i])
	}
	return out
}

// Open reads a transcript of either kind: a server's own, or a campaign's with the original kinds of its messages. It is
// verified; the records before the first damage come with its error.
func Open(raw []byte) (records []Record, err error) {
	records, err = open(raw)
	if err == nil || len(records) > 0 {
		return records, err
	}
	copies, _, copyErr := Parse(raw)
	if len(copies) == 0 {
		return nil, err
	}
	for _, c := range copies {
		records = append(records, c.Record)
	}
	return records, copyErr
}
