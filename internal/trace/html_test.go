package trace_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// pageDoc is what a page holds: how often each element occurs, the places that links lead to, rows of each
// table by its name, and all text.
type pageDoc struct {
	elements map[string]int
	ids      map[string]int
	links    []string
	rows     map[string]int
	text     string
}

// mayHold are the elements of a page: nothing that runs, loads or sends.
var mayHold = strings.Fields("html head meta title style body h1 h2 h3 p strong nav ul li a span code section dl dt dd div figure figcaption " +
	"table thead tbody tr th td svg rect")

// void are tags without an end.
var void = regexp.MustCompile(`<(!DOCTYPE|meta)[^>]*>`)

// readPage reads a page; its tags have to match as in XML, which is stricter than a browser.
func readPage(t *testing.T, page []byte) pageDoc {
	t.Helper()
	doc := pageDoc{elements: map[string]int{}, ids: map[string]int{}, rows: map[string]int{}}
	d := xml.NewDecoder(bytes.NewReader(void.ReplaceAll(page, nil)))
	table, body := "", false
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch e := token.(type) {
		case xml.StartElement:
			require.Contains(t, mayHold, e.Name.Local)
			doc.elements[e.Name.Local]++
			for _, a := range e.Attr {
				switch name := a.Name.Local; {
				case name == "id":
					doc.ids[a.Value]++
				case name == "href":
					require.True(t, strings.HasPrefix(a.Value, "#"), a.Value)
					doc.links = append(doc.links, a.Value[1:])
				case name == "aria-label" && e.Name.Local == "div":
					table = a.Value
				case strings.HasPrefix(name, "on"), name == "src", name == "style":
					require.Fail(t, "attribute", "%s of %s", name, e.Name.Local)
				}
			}
			body = e.Name.Local == "tbody" || body && e.Name.Local != "thead"
			if e.Name.Local == "tr" && body {
				doc.rows[table]++
			}
		case xml.EndElement:
			body = body && e.Name.Local != "tbody"
		case xml.CharData:
			text.Write(e)
		}
	}
	doc.text = text.String()
	for id, n := range doc.ids {
		require.Equal(t, 1, n, "id %q", id)
	}
	for _, l := range doc.links {
		require.Contains(t, doc.ids, l)
	}
	return doc
}

// pageOf renders an analysis and reads the page.
func pageOf(t *testing.T, a *trace.Analysis) (pageDoc, string) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, trace.WriteHTML(&b, a))
	return readPage(t, b.Bytes()), b.String()
}

func TestPageHoldsEveryTable(t *testing.T) {
	t.Parallel()
	a, err := trace.Analyze(t.Context(), []string{"testdata/tp2_prefill-TP-0.trace.json.gz", "testdata/tp2_prefill-TP-1.trace.json.gz"},
		trace.Options{MinShare: 0.01, Strip: true})
	require.NoError(t, err)
	doc, page := pageOf(t, a)
	s := &a.Stages[0]
	require.Equal(t, map[string]int{
		"Timeline strip": len(s.Strip.Lanes), "Categories": len(s.Categories), "Kernels": len(s.Kernels), "Overlap opportunities": len(s.Overlap),
		"Fuse patterns": len(s.Fuse), "Idle": len(s.Idle.Causes), "Layers": len(s.Layers.Rows), "Ranks": 2,
	}, doc.rows)
	for _, k := range s.Kernels {
		require.Contains(t, doc.text, k.ID)
	}
	require.Contains(t, doc.text, "tp.py:8 mlp")
	require.Contains(t, doc.text, "72.3 %") // as in Markdown
	require.Contains(t, doc.text, "2 smaller rows not shown")
	require.Contains(t, doc.text, "rank 1 spends")
	require.Contains(t, page, `<h2 id="s1">prefill, rank 0</h2>`)
	require.NotContains(t, page, "prefill, rank 1</h2>")
	require.GreaterOrEqual(t, len(doc.links), len(s.Overlap)) // an overlap row leads to its kernel's
	require.Contains(t, page, `<a href="#s1-k2"><code title="ncclDevKernel_AllReduce`)
	require.Contains(t, page, `<tr id="s1-k2"><td class="wide"><code title="ncclDevKernel_AllReduce`)
}

func TestPageHoldsStepsAndRooflines(t *testing.T) {
	t.Parallel()
	var e events
	for i := range 3 {
		at := float64(1000 * i)
		e.step("step[DECODE bs=8]", at, 500)
		e.add("cpu_op", "aten::mm", 1, 1, at+1, 20, m{"External id": i + 1, "Input type": []string{"c10::BFloat16", "c10::BFloat16"}, "Input Dims": [][]int{{8, 64}, {64, 32}}})
		e.launch(at+2, i+1)
		e.add("kernel", "nvjet_a", 0, 7, at+100, 10, m{"stream": 7, "correlation": i + 1, "External id": i + 1})
	}
	a := withStrips(t, e.write(t, "x.trace.json"))
	s := stageNamed(t, a, trace.Decode)
	require.NotNil(t, s.Kernels[0].Roofline)
	doc, page := pageOf(t, a)
	require.Equal(t, []int{1, len(s.Idle.Steps)}, []int{doc.rows["Rooflines"], doc.rows["Idle by step"]})
	require.Contains(t, doc.text, "3 of 3")
	require.Contains(t, doc.text, "us a step on average; the longest")
	require.Contains(t, page, `<a href="#s1-k1">`)
}

func TestPageIsClosed(t *testing.T) {
	t.Parallel()
	_, page := pageOf(t, withStrips(t, "testdata/tp2_decode-TP-0.trace.json.gz"))
	require.Contains(t, page, `http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"`)
	for _, not := range []string{"http:", "https:", "url(", "@import", "<script", "javascript:", "ZgotmplZ", "\ufffd"} {
		require.NotContains(t, page, not)
	}
}

// What a trace names cannot leave its place.
func TestPageEscapesNames(t *testing.T) {
	t.Parallel()
	const evil = `</title></svg><script>alert(1)</script><img src=x onerror="alert(2)">'"` + "\u202e\x00`"
	var e events
	e.step("step[DECODE "+evil+"]", 10, 500)
	e.add("python_function", "python/sglang/"+evil+".py(7): "+evil, 1, 1, 11, 400, m{})
	for i := range 10 {
		e.add("cpu_op", "aten::"+evil, 1, 1, 20+float64(10*i), 8, m{"External id": i + 1})
		e.launch(21+float64(10*i), i+1)
		e.kernel("k"+evil, 7, 600+float64(20*i), 15, i+1)
	}
	a := withStrips(t, e.write(t, "x<script>.trace.json"))
	a.Notes = append(a.Notes, evil)
	a.Files[0].Device = evil
	a.Stages[0].Categories[0].Category = evil
	doc, page := pageOf(t, a)
	require.NotContains(t, strings.ToLower(page), "<script")
	require.NotContains(t, page, "<img")
	require.NotContains(t, page, "\u202e")
	require.NotContains(t, page, "\x00")
	require.Contains(t, doc.text, "k</title></svg><script>alert")                    // … and is shown as it is
	require.Equal(t, 1+len(a.Stages[0].Strip.Lanes[0].Spans), doc.elements["title"]) // the page's and the spans'
	var b bytes.Buffer
	require.NoError(t, trace.WriteDiffHTML(&b, a, a, []trace.DiffRow{{Stage: evil, Family: evil, Kind: evil, Note: evil}}))
	require.NotContains(t, b.String(), "<script")
	readPage(t, b.Bytes())
}

// An overlap row leads nowhere where its kernel's row is too small to be shown.
func TestPageLinksOnlyWhatItShows(t *testing.T) {
	t.Parallel()
	a, err := trace.Analyze(t.Context(), []string{"testdata/tp2_prefill-TP-0.trace.json.gz"}, trace.Options{MinShare: 0.5})
	require.NoError(t, err)
	doc, page := pageOf(t, a)
	require.Equal(t, 1, doc.rows["Kernels"])
	require.Greater(t, doc.rows["Overlap opportunities"], 1)
	require.Equal(t, 1, strings.Count(page, `<a href="#s1-k`))
}

func TestPageOfADiff(t *testing.T) {
	t.Parallel()
	before := stepsOf(t, map[string][]float64{"attention": {10, 11, 9, 10}, "slow_gemm": {40, 41, 39, 40}, "old": {5, 5, 5, 5}}, "attention", "slow_gemm", "old")
	after := stepsOf(t, map[string][]float64{"attention": {10, 9, 11, 10}, "slow_gemm": {30, 31, 29, 30}, "fresh": {2, 2, 2, 2}}, "attention", "slow_gemm", "fresh")
	rows := trace.Diff(before, after)
	var b bytes.Buffer
	require.NoError(t, trace.WriteDiffHTML(&b, before, after, rows))
	doc := readPage(t, b.Bytes())
	require.Equal(t, len(rows), doc.rows["What changed"])
	require.Contains(t, doc.text, "-11.4 to -8.6")
	require.Equal(t, 3, strings.Count(b.String(), `id="b1-k`)) // kernels before
	require.Equal(t, 3, strings.Count(b.String(), `id="a1-k`)) // and after
	require.Contains(t, doc.text, "Before: decode, rank 0")
	require.NotContains(t, doc.rows, "Timeline strip") // not asked for
	many := make([]trace.DiffRow, 50)
	b.Reset()
	require.NoError(t, trace.WriteDiffHTML(&b, before, after, many))
	doc = readPage(t, b.Bytes())
	require.Equal(t, 20, doc.rows["What changed"])
	require.Contains(t, doc.text, "30 smaller differences not shown")
}

func TestPageOfACPUHost(t *testing.T) {
	t.Parallel()
	a := withStrips(t, "testdata/cpu/sglang_stack")
	doc, _ := pageOf(t, a)
	require.Contains(t, doc.text, "CPU time: no claim about a GPU follows.")
	require.Contains(t, doc.text, "operators' CPU time")
	require.Contains(t, doc.text, "At most (of wall time)")
	require.Contains(t, doc.text, "Each moment is the innermost operator's")
	require.NotContains(t, doc.text, "GPU time")
	require.NotContains(t, doc.rows, "Kernels")
	require.Positive(t, doc.rows["Operators"])
	var b bytes.Buffer
	after := analyze(t, "testdata/cpu/vllm")
	require.NoError(t, trace.WriteDiffHTML(&b, a, after, trace.Diff(a, after)))
	doc = readPage(t, b.Bytes())
	require.Contains(t, doc.text, "No claim about a GPU follows.")
	require.Contains(t, doc.text, "(outside operators)")
}

func TestPageTellsOfDamage(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("testdata/tp2_decode-TP-0.trace.json.gz")
	require.NoError(t, err)
	a := withStrips(t, writeFile(t, "x.trace.json.gz", whole[:len(whole)*9/10]))
	require.True(t, a.Incomplete)
	doc, page := pageOf(t, a)
	require.Contains(t, page, `<p class="bad" role="alert"><strong>Incomplete.</strong>`)
	require.Less(t, strings.Index(page, `role="alert"`), strings.Index(page, "<nav"))
	require.Contains(t, doc.text, a.Files[0].Error)
}

// However many stages and lanes, a page stays small; what is merged for it is said.
func TestPageIsBounded(t *testing.T) {
	t.Parallel()
	var e events
	for i := range 40_000 {
		e.launch(float64(i), i+1)
		e.kernel(strings.Repeat("namespace::", 8)+[]string{"nvjet_a", "rms_norm", "silu_x"}[i%3], 100+i%4, float64(100_000+20*i), 8, i+1)
	}
	for i := range 4 {
		e.step([]string{"step[EXTEND bs=1 toks=1]", "step[DECODE bs=1]", "step[MIXED bs=1]", "step[IDLE bs=0]"}[i], float64(10_000*i), 10_000)
	}
	a := withStrips(t, e.write(t, "x.trace.json"))
	require.Len(t, a.Stages, 4)
	before := a.Stages[0].Strip.MergedUS
	var b bytes.Buffer
	require.NoError(t, trace.WriteDiffHTML(&b, a, a, nil))
	doc := readPage(t, b.Bytes())
	require.Less(t, b.Len(), 2_000_000)
	require.LessOrEqual(t, doc.elements["title"], 8001)
	require.Contains(t, doc.text, "are drawn together to keep the page small")
	require.Equal(t, before, a.Stages[0].Strip.MergedUS) // the analysis stays as it is
}
