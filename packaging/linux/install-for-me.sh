#!/bin/sh
# Puts ChatBELLE into the menu of the person who runs this, for the folder it lies in; --remove takes it out again.
# Nothing outside that person's own folder is touched, and no chats or models.
set -eu

case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in
    zh*) chinese=yes ;;
    *) chinese=no ;;
esac

say() { # English, Chinese
    if [ "$chinese" = yes ]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi
}

fail() {
    say "$1" "$2" >&2
    exit "${3:-1}"
}

here=$(cd "$(dirname "$0")" && pwd -P)
line_break='
'
case "$here" in
    *"$line_break"*)
        fail "The folder's name has a line break, which a menu can't hold; rename the folder, then run this again." \
            "文件夹名称含有换行，菜单无法使用；请重命名文件夹，然后再运行一次。" ;;
esac
[ -n "${XDG_DATA_HOME:-}${HOME:-}" ] ||
    fail "HOME is not set, so there is no menu to add to; set it, then run this again." \
        "没有设置 HOME，找不到菜单的位置；请设置后再运行一次。"
data=${XDG_DATA_HOME:-$HOME/.local/share}

entry() { # The desktop entry with this folder's program; quoting as the Desktop Entry Specification wants it.
    # shellcheck disable=SC2016
    quoted=$(printf '%s' "$here/chatbelle" | sed -e 's/[\\"`$]/\\&/g' -e 's/\\/\\\\/g' -e 's/%/%%/g')
    # GLib looks for the program before it turns %% into %, and would find none.
    case "$quoted" in *%*) starter="env " ;; *) starter="" ;; esac
    plain=$(printf '%s' "$here/chatbelle" | sed -e 's/\\/\\\\/g')
    while IFS= read -r line; do
        case "$line" in
            Exec=*) printf 'Exec=%s"%s" %%F\n' "$starter" "$quoted" ;;
            TryExec=*) printf 'TryExec=%s\n' "$plain" ;;
            *) printf '%s\n' "$line" ;;
        esac
    done <"$here/share/applications/chatbelle.desktop"
}

refresh() { # Desktops read these caches where they exist; a system without the program needs none.
    if command -v update-desktop-database >/dev/null; then update-desktop-database -q "$data/applications"; fi
    if command -v update-mime-database >/dev/null; then update-mime-database "$data/mime"; fi
    if command -v gtk-update-icon-cache >/dev/null; then
        gtk-update-icon-cache -q -f -t "$data/icons/hicolor"
    fi
}

parts() {
    (cd "$here/share" && find . -type f | sort)
}

case "${1:-}" in
    "")
        mkdir -p "$data" 2>/dev/null && [ -w "$data" ] ||
            fail "$data can't be written to; make it writable, then run this again." \
                "无法写入 $data；请让它可写，然后再运行一次。"
        parts | while IFS= read -r part; do
            mkdir -p "$data/$(dirname "$part")"
            cp "$here/share/$part" "$data/$part"
        done
        entry >"$data/applications/chatbelle.desktop"
        refresh
        say "ChatBELLE is in the menu. If you move the folder, run this again." \
            "ChatBELLE 已加入菜单。移动文件夹后，请再运行一次。"
        ;;
    --remove)
        parts | while IFS= read -r part; do
            rm -f "$data/$part"
        done
        for folder in applications mime icons/hicolor; do
            mkdir -p "$data/$folder"
        done
        refresh
        say "ChatBELLE is out of the menu. Your chats and models are where they were." \
            "ChatBELLE 已从菜单移除。你的对话和模型仍在原处。"
        ;;
    *)
        fail "Run it without options, or with --remove." "直接运行，或带上 --remove。" 2
        ;;
esac
