package hosts

// EngineEntry is one build of a framework on a host. Exactly one of Venv, Image and Command is set.
type EngineEntry struct {
	Type        string            `json:"type"`                   // sglang vllm tensorrt_llm tokenspeed
	Venv        string            `json:"venv,omitempty"`         // virtual environment on the host
	Image       string            `json:"image,omitempty"`        // NAME@sha256:DIGEST
	Command     string            `json:"command,omitempty"`      // folder on the host that holds the engine's executables
	Checkout    string            `json:"checkout,omitempty"`     // git checkout on the server's machine
	PackageRoot string            `json:"package_root,omitempty"` // folder of the package inside Checkout, slash-separated
	ImportName  string            `json:"import_name,omitempty"`  // Python package that the sources are imported as
	TestRunner  []string          `json:"test_runner"`            // argv to which test ids are appended
	Env         map[string]string `json:"env"`                    // variables for this engine; wins over the host's
}
