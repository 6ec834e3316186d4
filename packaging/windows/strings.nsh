; What the installer says by itself, in both languages; the rest comes with NSIS.

VIProductVersion "${NUMBERS}"
!macro VersionOf LANGUAGE DESCRIPTION
  VIAddVersionKey /LANG=${LANGUAGE} "ProductName" "${NAME}"
  VIAddVersionKey /LANG=${LANGUAGE} "ProductVersion" "${VERSION}"
  VIAddVersionKey /LANG=${LANGUAGE} "FileVersion" "${VERSION}"
  VIAddVersionKey /LANG=${LANGUAGE} "FileDescription" "${DESCRIPTION}"
  VIAddVersionKey /LANG=${LANGUAGE} "CompanyName" "${PUBLISHER}"
  VIAddVersionKey /LANG=${LANGUAGE} "LegalCopyright" "Apache-2.0"
!macroend
!insertmacro VersionOf ${LANG_ENGLISH} "ChatBELLE Setup"
!insertmacro VersionOf ${LANG_SIMPCHINESE} "ChatBELLE 安装程序"

!macro Say KEY ENGLISH CHINESE
  LangString ${KEY} ${LANG_ENGLISH} "${ENGLISH}"
  LangString ${KEY} ${LANG_SIMPCHINESE} "${CHINESE}"
!macroend

!insertmacro Say TOO_OLD \
  "ChatBELLE needs 64-bit Windows 10 or later." \
  "ChatBELLE 需要 64 位的 Windows 10 或更高版本。"
!insertmacro Say STILL_RUNNING \
  "ChatBELLE is still running, so $1 cannot be replaced. Close ChatBELLE, then choose Retry." \
  "ChatBELLE 还在运行，无法替换 $1。请先关闭 ChatBELLE，然后点“重试”。"
!insertmacro Say OLD_NOT_REMOVED \
  "The version that is installed could not be removed. Restart Windows and run this installer again." \
  "无法移除已安装的版本。请重新启动 Windows，再运行这个安装程序。"
!insertmacro Say NOT_WRITTEN \
  "Some files could not be written to $INSTDIR. Check the free space and your rights there, then try again." \
  "有文件无法写入 $INSTDIR。请检查那里的剩余空间和权限，然后重试。"
!insertmacro Say DATA_LEFT \
  "Some files in ${DATA} are in use and are still there. Close the programs that use them, then delete the folder." \
  "${DATA} 里有文件正在使用，还没有删除。请关闭使用它们的程序，再删除这个文件夹。"
!insertmacro Say OPEN_WITH "Open models (.gguf) with ChatBELLE" "用 ChatBELLE 打开模型（.gguf）"
!insertmacro Say DESKTOP "Shortcut on the desktop" "桌面快捷方式"
!insertmacro Say MODEL_FILE "GGUF model" "GGUF 模型"
!insertmacro Say DATA_SECTION "My models and chats" "我的模型和对话"
!insertmacro Say ABOUT_PROGRAM "The program, in the Start menu." "程序本身，可从“开始”菜单打开。"
!insertmacro Say ABOUT_OPEN_WITH \
  "Adds ChatBELLE to $\"Open with$\". A program that you chose before stays your choice." \
  "在“打开方式”里加入 ChatBELLE，不改变你已选的默认程序。"
!insertmacro Say ABOUT_DESKTOP "An icon on the desktop." "在桌面上放一个图标。"
!insertmacro Say ABOUT_UN_PROGRAM "Removes the program." "移除程序。"
!insertmacro Say ABOUT_UN_DATA \
  "Also deletes all chats, settings and models in ${DATA}, for good. Other folders are kept." \
  "同时永久删除 ${DATA} 里的全部对话、设置和模型。其他文件夹都会保留。"
