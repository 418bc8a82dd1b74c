package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Model is a decoder's shape, spelled as config.json spells it.
type Model struct {
	Name             string  `json:"-"` // folder name
	ModelType        string  `json:"model_type"`
	Layers           int     `json:"num_hidden_layers"`
	Hidden           int     `json:"hidden_size"`
	Intermediate     int     `json:"intermediate_size"`
	Heads            int     `json:"num_attention_heads"`
	KVHeads          int     `json:"num_key_value_heads"`
	HeadDim          int     `json:"head_dim"`
	Vocab            int     `json:"vocab_size"`
	MaxPosition      int     `json:"max_position_embeddings"`
	TieEmbeddings    bool    `json:"tie_word_embeddings"`
	EOS              int     `json:"eos_token_id"`
	RopeTheta        float64 `json:"rope_theta"`
	RMSNormEps       float64 `json:"rms_norm_eps"`
	fingerprint      uint64  // of config.json; seeds the tokens
	maxContextTokens int     // after an engine's context-length flag
}

// DefaultModel has Qwen3-8B's shape: a decode step of eight sequences takes about 6 ms on an H100, long enough
// that a sleeping process on a busy machine keeps it within 1 %.
func DefaultModel() Model {
	return Model{Name: "Qwen3-8B-sim", ModelType: "qwen3", Layers: 36, Hidden: 4096, Intermediate: 12288,
		Heads: 32, KVHeads: 8, HeadDim: 128, Vocab: 151936, MaxPosition: 40960, EOS: 151645, RopeTheta: 1e6, RMSNormEps: 1e-6}
}

// specialFrom is the first id that is never sampled nor made from text (Qwen3's specials start here).
func (m Model) specialFrom() int { return min(m.Vocab, 151643) }

// files are the contents of the model's folder.
func (m Model) files() map[string][]byte {
	config := m.json()
	tok := map[string]any{"version": "1.0", "added_tokens": m.added(), "normalizer": nil,
		"pre_tokenizer": map[string]any{"type": "WhitespaceSplit"}, "post_processor": nil, "decoder": nil,
		"model": map[string]any{"type": "WordLevel", "vocab": m.firstWords(256), "unk_token": "w0"}}
	index := map[string]any{"metadata": map[string]any{"total_size": int64(m.weightParams() * 2), "simulated": true},
		"weight_map": map[string]string{"model.embed_tokens.weight": "model-00001-of-00001.safetensors"}}
	decoder := map[string]any{}
	for _, a := range m.added() {
		decoder[strconv.Itoa(a["id"].(int))] = map[string]any{"content": a["content"], "special": true}
	}
	return map[string][]byte{
		"config.json":    config,
		"tokenizer.json": render(tok),
		"tokenizer_config.json": render(map[string]any{"added_tokens_decoder": decoder, "eos_token": "<|im_end|>",
			"model_max_length": m.MaxPosition, "pad_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}),
		"generation_config.json":           render(map[string]any{"eos_token_id": m.EOS, "pad_token_id": m.specialFrom()}),
		"model.safetensors.index.json":     render(index),
		"model-00001-of-00001.safetensors": emptySafetensors(),
	}
}

func (m Model) json() []byte {
	return render(struct {
		Architectures []string `json:"architectures"`
		Model
		DType     string `json:"torch_dtype"`
		Simulated bool   `json:"simulated"`
	}{[]string{"Qwen3ForCausalLM"}, m, "bfloat16", true})
}

func (m Model) added() []map[string]any {
	out := []map[string]any{}
	for i, s := range []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"} {
		if id := m.specialFrom() + i; id < m.Vocab {
			out = append(out, map[string]any{"id": id, "content": s, "special": true})
		}
	}
	return out
}

func (m Model) firstWords(n int) map[string]int {
	out := map[string]int{}
	for i := range min(n, m.Vocab) {
		out[wordOf(i)] = i
	}
	return out
}

// emptySafetensors is a valid file without tensors: an 8-byte length and a JSON header.
func emptySafetensors() []byte {
	head := []byte(`{"__metadata__":{"format":"pt","simulated":"true"}}`)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...)
}

// render is indented JSON with a final newline. The values are literals of this package, so it cannot fail.
func render(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// loadModel reads a model folder. arg is a path, or a name whose last element is a folder below root/models.
func loadModel(root, arg string) (Model, error) {
	dir := arg
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		dir = filepath.Join(root, "models", filepath.Base(arg))
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return Model{}, fmt.Errorf("We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.\n%s is not a local folder with a config.json", arg) //nolint:staticcheck // the real framework's sentence
	}
	var m Model
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("It looks like the config file at '%s' is not a valid JSON file: %w", filepath.Join(dir, "config.json"), err) //nolint:staticcheck // the real framework's sentence
	}
	m.Name = filepath.Base(dir)
	m.fingerprint = hashString(string(b))
	if m.HeadDim == 0 && m.Heads > 0 {
		m.HeadDim = m.Hidden / m.Heads
	}
	if m.KVHeads == 0 {
		m.KVHeads = m.Heads
	}
	if m.Layers <= 0 || m.Hidden <= 0 || m.Intermediate <= 0 || m.Heads <= 0 || m.HeadDim <= 0 || m.Vocab <= 1 || m.MaxPosition <= 0 {
		return m, fmt.Errorf("config.json of %s lacks a size", arg)
	}
	m.maxContextTokens = m.MaxPosition
	return m, nil
}

// layerParams counts the weights of one layer.
func (m Model) layerParams() float64 {
	q, kv := float64(m.Heads*m.HeadDim), float64(m.KVHeads*m.HeadDim)
	h := float64(m.Hidden)
	return h*(q+2*kv) + q*h + 3*h*float64(m.Intermediate)
}

// weightParams counts all weights, the embedding twice unless it is tied.
func (m Model) weightParams() float64 {
	embeddings := 2.0
	if m.TieEmbeddings {
		embeddings = 1
	}
	return m.layerParams()*float64(m.Layers) + embeddings*float64(m.Vocab)*float64(m.Hidden)
}

// kvBytesPerToken is the key and value cache of one token over all layers, at elem bytes a number.
func (m Model) kvBytesPerToken(elem float64) float64 {
	return 2 * float64(m.Layers*m.KVHeads*m.HeadDim) * elem
}
