package trace

// operatorNames tells PyTorch's operators by their whole name, where a word of it would say something else
// or nothing. Operators that only make a view, or only dispatch, are "other": they neither compute nor move
// data, whatever a GPU kernel of that name does, and their time is the dispatcher's.
func operatorNames() map[string]string {
	names := map[string]string{}
	put := func(category string, list ...string) {
		for _, n := range list {
			names[words(n)] = category
		}
	}
	put(catNameOther,
		"view", "_unsafe_view", "_reshape_alias", "reshape", "view_as", "as_strided", "select", "slice", "narrow", "split", "split_with_sizes", "chunk",
		"tensor_split", "unbind", "unsqueeze", "squeeze", "transpose", "t", "numpy_T", "permute", "movedim", "swapaxes", "swapdims", "expand", "expand_as",
		"broadcast_to", "flatten", "unflatten", "detach", "alias", "diagonal", "unfold", "view_as_real", "view_as_complex", "real", "imag",
		"to", "type_as", "lift_fresh", "resolve_conj", "resolve_neg", "result_type", "item", "is_nonzero", "_local_scalar_dense",
		"TorchDynamo Cache Lookup")
	put(catNameMemory,
		"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "new_zeros", "new_ones", "new_full", "ones", "ones_like", "full", "full_like",
		"resize", "set", "clone", "index", "tensor", "tile")
	put(catNameElementwise,
		"eq", "ne", "lt", "le", "gt", "ge", "isin", "isnan", "isinf", "isfinite", "maximum", "minimum", "floor", "ceil", "round", "trunc", "sign", "reciprocal",
		"square", "remainder", "fmod", "floor_divide", "true_divide", "nan_to_num", "erf",
		"clamp_min", "clamp_max", "masked_fill")
	put(catNameCommunication, "shm_gather", "shm_send_tensor_list", "shm_recv_tensor_list")
	put(catNameGemm, "linear", "mkldnn_linear", "_mkldnn_linear", "mv", "addmv", "dot", "vdot", "inner", "outer")
	put(catNameReduction, "argsort", "msort", "std")
	return names
}
