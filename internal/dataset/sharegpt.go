package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// speakers translates the names that ShareGPT files give.
var speakers = map[string]string{
	"human": "user", "user": "user",
	"gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "model": "assistant",
	"system": "system",
}

// conversation turns one element into rows. Fields that the format does not define (model, scores, languages) are left.
func (o Options) conversation(v value) ([]Row, *flaw) {
	id, bad := conversationID(v)
	if bad != nil {
		return nil, bad
	}
	list := v.get("conversations")
	if list == nil {
		return nil, &flaw{off: v.off, reason: ReasonField, field: "conversations", text: "is missing", hint: "an array of objects {id, conversations: [{from, value}]} is wanted"}
	}
	if list.kind != '[' {
		return nil, wrong(list, "conversations", "an array of {from, value}")
	}
	turns, bad := shareTurns(list)
	if bad != nil {
		return nil, bad
	}
	if o.Turns == TurnsAll {
		return o.everyTurn(id, turns, list.off)
	}
	return o.firstTurn(id, turns, list.off)
}

func conversationID(v value) (string, *flaw) {
	id := v.get("id")
	if id == nil || id.kind == 'n' {
		return "", nil
	}
	if id.kind != '"' && id.kind != 0 {
		return "", wrong(id, "id", "a string")
	}
	return id.text, nil
}

// shareTurns reads the turns and checks that question and answer alternate.
func shareTurns(list *value) ([]turn, *flaw) {
	turns := make([]turn, 0, len(list.items))
	before := ""
	for i := range list.items {
		item, field := &list.items[i], fmt.Sprintf("conversations[%d]", i)
		if item.kind != '{' {
			return nil, wrong(item, field, "an object {from, value}")
		}
		from, text := item.get("from"), item.get("value")
		if from == nil || from.kind != '"' || text == nil || text.kind != '"' {
			return nil, &flaw{off: item.off, reason: ReasonField, field: field, text: "lacks from or value as a string", hint: "write {from, value}"}
		}
		role, known := speakers[from.text]
		if !known {
			return nil, &flaw{off: from.off, reason: ReasonRoles, field: field + ".from", text: "is unknown (valid: human, user, gpt, assistant, chatgpt, bing, bard, model, system)", got: from.text, hint: "name who speaks"}
		}
		if !slices.Contains(after[before], role) {
			bad := outOfOrder(from.off, field, role, before)
			bad.field = field + ".from"
			return nil, bad
		}
		if strings.TrimSpace(text.text) == "" {
			return nil, empty(text.off, field+".value")
		}
		before, turns = role, append(turns, turn{role, text.text})
	}
	return turns, nil
}

// firstTurn takes the first question as a prompt; the length of its answer is the length asked for.
func (o Options) firstTurn(id string, turns []turn, off int) ([]Row, *flaw) {
	if len(turns) > 0 && turns[0].role == "system" {
		return nil, &flaw{off: off, reason: ReasonTurns, field: "conversations", text: "begins with a system turn, which a prompt cannot hold", hint: "take all turns, as messages"}
	}
	if len(turns) < 2 {
		return nil, noAnswer(off)
	}
	n, bad := o.answerLen(turns[1].text, off)
	return []Row{{Conversation: id, Prompt: turns[0].text, OutputLen: n}}, bad
}

// everyTurn makes a row of each question that has an answer, with all that was said before it. The rows share their
// turns; Next writes the messages of one at a time, so that a long conversation does not take its square in memory.
func (o Options) everyTurn(id string, turns []turn, off int) ([]Row, *flaw) {
	var rows []Row
	for i, t := range turns {
		if t.role != "assistant" {
			continue
		}
		n, bad := o.answerLen(t.text, off)
		if bad != nil {
			return nil, bad
		}
		rows = append(rows, Row{Conversation: id, OutputLen: n, turns: turns[:i:i]})
	}
	if len(rows) == 0 {
		return nil, noAnswer(off)
	}
	return rows, nil
}

func (o Options) answerLen(answer string, off int) (int, *flaw) {
	if o.OutputLen > 0 {
		return o.OutputLen, nil
	}
	n := o.Count(answer)
	if n < 1 || n > maxOutputLen {
		return 0, &flaw{off: off, reason: ReasonOutputLen, field: "conversations", text: fmt.Sprintf("has an answer of %d tokens", n), hint: "take the conversation out"}
	}
	return n, nil
}

func noAnswer(off int) *flaw {
	return &flaw{off: off, reason: ReasonTurns, field: "conversations", text: "has no question with an answer", hint: "take the conversation out"}
}
