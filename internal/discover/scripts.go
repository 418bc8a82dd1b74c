package discover

// The scripts are fixed texts; whatever varies is a positional parameter. They print lines of fields between tabs and write
// nothing. A file whose name has a tab or a line end gives a line that nothing reads.

// limited runs a command for five seconds at most: a network file system that is gone would hold it for ever.
const limited = `limited() { if command -v timeout >/dev/null 2>&1; then timeout 5 "$@"; else "$@"; fi; }
`

// machineScript tells what the account is on.
const machineScript = `say() { printf '%s\t%s\n' "$1" "$2"; }
say home "$HOME"
say realhome "$(cd 2>/dev/null && pwd -P)"
say user "$(id -un 2>/dev/null)"
say kernel "$(uname -sr)"
say machine "$(uname -m)"
say os "$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null | tr -d '"' | head -n 1)"
say version "$(sed -n 's/^VERSION_ID=//p' /etc/os-release 2>/dev/null | tr -d '"' | head -n 1)"
say cores "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
say memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB.*/\1/p' /proc/meminfo 2>/dev/null)"
for p in docker podman apptainer enroot sinfo nvidia-smi uv; do
  at=$(command -v "$p" 2>/dev/null) && printf 'program\t%s\t%s\n' "$p" "$at"
done
for p in sglang vllm trtllm-serve tokenspeed; do
  at=$(command -v "$p" 2>/dev/null) && printf 'path\t%s\n' "$at"
done
printf 'variable\tHF_HOME\t%s\n' "$HF_HOME"
printf 'variable\tHF_HUB_CACHE\t%s\n' "$HF_HUB_CACHE"
printf 'variable\tVIRTUAL_ENV\t%s\n' "$VIRTUAL_ENV"
printf 'variable\tCONDA_PREFIX\t%s\n' "$CONDA_PREFIX"
[ -n "$HF_TOKEN" ] && say secret HF_TOKEN
[ -n "$HUGGING_FACE_HUB_TOKEN" ] && say secret HUGGING_FACE_HUB_TOKEN
[ -n "$MODELSCOPE_API_TOKEN" ] && say secret MODELSCOPE_API_TOKEN
for d in /var/lock/sotaloop /var/lock /tmp; do
  [ -d "$d" ] && [ -w "$d" ] && [ -x "$d" ] && say writable "$d"
done
exit 0`

// disksScript tells of folders where large things are kept how much is free there. $1 is the account's name.
const disksScript = limited + `for d in "$HOME" /data /data[0-9]* /mnt /mnt/* /scratch /scratch[0-9]* /raid* /nvme* /local /local_* /workspace /srv /tmp; do
  for e in "$d" "$d/$1"; do
    [ -d "$e" ] || continue
    can=no; [ -w "$e" ] && [ -x "$e" ] && can=yes
    kind=$(limited stat -f -c %T "$e" 2>/dev/null)
    line=$(limited df -Pk "$e" 2>/dev/null | tail -n 1 | tr -s ' \t' ' ')
    printf 'disk\t%s\t%s\t%s\t%s\n' "$e" "$can" "$kind" "$line"
  done
done
exit 0`

// roots are where people keep environments and models; find leaves out what is large and holds neither. It tells each
// match at once, by a program, so that a search that is cut has told what it found.
const roots = `"$HOME" /opt /srv /venv /data /data[0-9]* /mnt/* /scratch /scratch[0-9]* /raid* /nvme* /local /workspace /models`

// environmentsScript finds environments, and the engines that are installed in them. $@ are more prefixes to look at.
const environmentsScript = `look() {
  p=$(cd "$1" 2>/dev/null && pwd -P) || return 0
  set -- "$p"
  for site in "$1"/lib/python3*/site-packages "$1"/lib/python3*/dist-packages "$1"/local/lib/python3*/dist-packages; do
    for info in "$site"/sglang-*.dist-info "$site"/vllm-*.dist-info "$site"/tensorrt_llm-*.dist-info "$site"/tokenspeed-*.dist-info; do
      [ -d "$info" ] || continue
      has=no; [ -x "$1/bin/python" ] && has=yes
      printf 'dist\t%s\t%s\t%s\t%s\t%s\n' "$1" "$site" "${info##*/}" "$has" "$(head -c 2000 "$info/direct_url.json" 2>/dev/null | tr '\n\t' '  ')"
    done
  done
}
for p do look "$p"; done
for p in /usr /usr/local "$HOME/.local" "$HOME"/.local/share/uv/tools/* "$HOME"/.local/share/pipx/venvs/* "$HOME"/.local/pipx/venvs/* "$HOME"/.pyenv/versions/*; do look "$p"; done
for root in ` + roots + `; do
  [ -d "$root" ] || continue
  find -H "$root" -xdev -maxdepth 5 \( -name node_modules -o -name .git -o -name 'models--*' -o -name snapshots -o -name blobs -o -name lib -o -name lib64 -o -name include -o -name share -o -name bin \) -prune \
    -o \( -name pyvenv.cfg -o -name conda-meta \) -exec printf '%s\n' {} \; 2>/dev/null | {
    n=0
    while [ $n -lt 200 ] && IFS= read -r at; do n=$((n+1)); look "${at%/*}"; done
  }
done
exit 0`

// modelsScript finds checkpoints: in Hugging Face caches, and in folders of their own. $1 and $2 are HF_HUB_CACHE and HF_HOME.
const modelsScript = `for root in "$1" "$2" "$HOME/.cache/huggingface" ` + roots + `; do
  [ -n "$root" ] && [ -d "$root" ] || continue
  find -H "$root" -xdev -maxdepth 5 \( -name node_modules -o -name .git -o -name site-packages -o -name lib \) -prune \
    -o -type d -name 'models--*' -prune -exec printf '%s\n' {} \; 2>/dev/null | while IFS= read -r repo; do
    repo=$(cd "$repo" 2>/dev/null && pwd -P) || continue
    whole=no
    for config in "$repo"/snapshots/*/config.json; do
      [ -f "$config" ] && for w in "${config%/*}"/*.safetensors; do [ -f "$w" ] && whole=yes; done
    done
    for w in "$repo"/blobs/*.incomplete; do [ -e "$w" ] && whole=no; done
    printf 'cached\t%s\t%s\t%s\n' "${repo%/*}" "${repo##*/}" "$whole"
  done
done
for root in ` + roots + `; do
  [ -d "$root" ] || continue
  find -H "$root" -xdev -maxdepth 5 \( -name node_modules -o -name .git -o -name 'models--*' -o -name site-packages -o -name lib -o -name .cache \) -prune \
    -o -name config.json -exec printf '%s\n' {} \; 2>/dev/null | while IFS= read -r config; do
    dir=$(cd "${config%/*}" 2>/dev/null && pwd -P) || continue
    grep -q '"architectures"' "$config" 2>/dev/null || continue
    set -- "$dir"/*.safetensors
    [ -f "$1" ] || continue
    gone=0
    if [ -f "$dir/model.safetensors.index.json" ]; then
      for w in $(grep -o '"[A-Za-z0-9._-]*\.safetensors"' "$dir/model.safetensors.index.json" | sort -u | tr -d '"'); do [ -f "$dir/$w" ] || gone=$((gone+1)); done
    fi
    printf 'model\t%s\t%s\t%s\t%s\n' "$dir" "$#" "$(ls -lnL "$@" 2>/dev/null | awk '{s+=$5} END {printf "%.0f", s}')" "$gone"
  done
done
exit 0`

// secondScript tells of programs whether they can be run ("p" before each), and of folders which commit of which git
// checkout they are of ("d" before each). git is not started: what it runs is the checkout's to say.
const secondScript = `while [ $# -gt 1 ]; do
  if [ "$1" = p ]; then
    [ -f "$2" ] && [ -x "$2" ] && printf 'runs\t%s\n' "$2"
  else
    at=$2
    while [ -n "$at" ] && [ "$at" != / ] && [ "$at" != . ]; do
      if [ -e "$at/.git" ]; then
        git=$at/.git
        [ -f "$git" ] && git=$(sed -n 's/^gitdir: //p' "$git" | head -n 1)
        case $git in /*) ;; *) git=$at/$git ;; esac
        head=$(head -c 300 "$git/HEAD" 2>/dev/null | head -n 1)
        case $head in
        'ref: '*)
          ref=${head#ref: } common=$git
          [ -f "$git/commondir" ] && common=$git/$(head -n 1 "$git/commondir")
          commit=$(head -c 64 "$common/$ref" 2>/dev/null | head -n 1)
          [ -n "$commit" ] || commit=$(grep -F " $ref" "$common/packed-refs" 2>/dev/null | head -n 1 | cut -d ' ' -f 1) ;;
        *) commit=$head ;;
        esac
        printf 'checkout\t%s\t%s\t%s\n' "$2" "$at" "$commit"
        break
      fi
      at=${at%/*}
    done
  fi
  shift 2
done
exit 0`
