package genuine

import "slices"

// isVirtualenv says whether a digest is of a _virtualenv.py that a release of virtualenv or uv writes. No RECORD lists that
// file, and every interpreter of such an environment runs it.
func isVirtualenv(sum string) bool {
	return slices.Contains([]string{
		"684b8c07932ba4a84ac2e5ae9afe49ef04e92bac3d8d4191d455cf09d093e5fc", // virtualenv 20.13
		"c9199315871b11b12df226f890a38e66e63191e1adbfb11a66e6861151b33fca", // virtualenv 20.16 to 20.21
		"0aeb86546345c1d0fada097536e35525714d5cdbcc2d8eb3f9912a955044fcff", // virtualenv 20.24
		"0f20351ea7e90039c46d3fabdef991f28b1e3ff33eb13ee6f0d5cd21ea0e8b14", // virtualenv 20.26 to 20.34
		"ee52b2e2e720a40885a6b4b90c40e28e5c70e550af74d5efd169eaa5db2a6f6f", // uv 0.1 to 0.2
		"6cf30c56faf2a55228914dbbd17f8088ed371ebb08f5e7fa6fd931f913fcaf1d", // uv 0.4 to 0.9
	}, sum)
}
