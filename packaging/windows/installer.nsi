; The installer for one person: no administrator, everything below that person's own profile.
; Compiled by installers.py, which passes NAME, PUBLISHER, VERSION, NUMBERS, SIZE_KB, PAYLOAD, OUT and, with a certificate, SIGN.

Unicode true
!if /FileExists "${NSISDIR}/Stubs/lzma_solid-amd64-unicode"
  Target amd64-unicode
!else ; the official distribution makes 32-bit installers only, which work as well
  Target x86-unicode
!endif
SetCompressor /SOLID lzma
SetCompressorDictSize 64

!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include WinVer.nsh
!include x64.nsh
!include "${PAYLOAD}"

!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\${NAME}"
!define CLASSES "Software\Classes"
!define PROGID "ChatBELLE.gguf"
!define DATA "$LOCALAPPDATA\ChatBELLE"
!define EXIT_REFUSED 2

Name "${NAME}"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\${NAME}"
InstallDirRegKey HKCU "${UNINSTALL_KEY}" "InstallLocation"
RequestExecutionLevel user
ManifestDPIAware true
ManifestLongPathAware true
ManifestSupportedOS Win10
BrandingText "${NAME} ${VERSION}"
AllowSkipFiles off
ShowInstDetails nevershow
ShowUninstDetails nevershow

!ifdef SIGN
  !uninstfinalize '${SIGN} "%1"' = 0
  !finalize '${SIGN} "%1"' = 0
!endif

!define MUI_ICON "ChatBELLE.ico"
!define MUI_UNICON "ChatBELLE.ico"
!define MUI_WELCOMEFINISHPAGE_BITMAP "side.bmp"
!define MUI_ABORTWARNING
!define MUI_COMPONENTSPAGE_SMALLDESC
!define MUI_FINISHPAGE_RUN "$INSTDIR\ChatBELLE.exe"
!define MUI_FINISHPAGE_NOREBOOTSUPPORT

!insertmacro MUI_PAGE_COMPONENTS
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_COMPONENTS
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "SimpChinese"
!include "strings.nsh"

; Windows does not let anyone write to a program that runs; so there is no need to know its windows or names.
!macro RequireClosed UN
  Function ${UN}RequireClosed
    ${Do}
      StrCpy $1 ""
      ${ForEach} $2 1 3 + 1
        ${If} $2 = 1
          StrCpy $0 "$INSTDIR\ChatBELLE.exe"
        ${ElseIf} $2 = 2
          StrCpy $0 "$INSTDIR\chatbelle.com"
        ${Else}
          StrCpy $0 "$INSTDIR\belle-convert.exe"
        ${EndIf}
        ${If} ${FileExists} "$0"
          ClearErrors
          FileOpen $3 "$0" a
          ${If} ${Errors}
            StrCpy $1 "$0"
          ${Else}
            FileClose $3
          ${EndIf}
        ${EndIf}
      ${Next}
      ${If} $1 == ""
        ${ExitDo}
      ${EndIf}
      MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(STILL_RUNNING)" /SD IDCANCEL IDRETRY +3
      SetErrorLevel ${EXIT_REFUSED}
      Abort "$(STILL_RUNNING)"
    ${Loop}
  FunctionEnd
!macroend
!insertmacro RequireClosed ""
!insertmacro RequireClosed "un."

Section "${NAME}" PROGRAM
  SectionIn RO
  Call RequireClosed
  ; The version before knows its own files best. It leaves the data alone, as it does when nobody asks it to.
  ${If} ${FileExists} "$INSTDIR\uninstall.exe"
    ExecWait '"$INSTDIR\uninstall.exe" /S _?=$INSTDIR' $0
    ${If} $0 <> 0
      SetErrorLevel ${EXIT_REFUSED}
      Abort "$(OLD_NOT_REMOVED)"
    ${EndIf}
  ${EndIf}
  ClearErrors
  !insertmacro InstallPayload
  ${If} ${Errors}
    SetErrorLevel ${EXIT_REFUSED}
    Abort "$(NOT_WRITTEN)"
  ${EndIf}
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortCut "$SMPROGRAMS\${NAME}.lnk" "$INSTDIR\ChatBELLE.exe" "" "$INSTDIR\ChatBELLE.exe" 0
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "${NAME}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "${PUBLISHER}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\ChatBELLE.exe,0"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "EstimatedSize" ${SIZE_KB}
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1
SectionEnd

; Adds ChatBELLE to "Open with" for models. What a person chose to open them with stays as it is.
Section "$(OPEN_WITH)" OPEN_WITH_SECTION
  WriteRegStr HKCU "${CLASSES}\${PROGID}" "" "$(MODEL_FILE)"
  WriteRegStr HKCU "${CLASSES}\${PROGID}\DefaultIcon" "" "$INSTDIR\ChatBELLE.exe,0"
  WriteRegStr HKCU "${CLASSES}\${PROGID}\shell\open\command" "" '"$INSTDIR\ChatBELLE.exe" "%1"'
  WriteRegStr HKCU "${CLASSES}\.gguf\OpenWithProgids" "${PROGID}" ""
  WriteRegStr HKCU "${CLASSES}\Applications\ChatBELLE.exe" "FriendlyAppName" "${NAME}"
  WriteRegStr HKCU "${CLASSES}\Applications\ChatBELLE.exe\shell\open\command" "" '"$INSTDIR\ChatBELLE.exe" "%1"'
  WriteRegStr HKCU "${CLASSES}\Applications\ChatBELLE.exe\SupportedTypes" ".gguf" ""
  ${RefreshShellIcons}
SectionEnd

Section /o "$(DESKTOP)" DESKTOP_SECTION
  CreateShortCut "$DESKTOP\${NAME}.lnk" "$INSTDIR\ChatBELLE.exe" "" "$INSTDIR\ChatBELLE.exe" 0
SectionEnd

Section "un.${NAME}" UN_PROGRAM
  SectionIn RO
  Call un.RequireClosed
  !insertmacro RemovePayload
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\${NAME}.lnk"
  Delete "$DESKTOP\${NAME}.lnk"
  DeleteRegKey HKCU "${UNINSTALL_KEY}"
  DeleteRegKey HKCU "${CLASSES}\${PROGID}"
  DeleteRegValue HKCU "${CLASSES}\.gguf\OpenWithProgids" "${PROGID}"
  DeleteRegKey /ifempty HKCU "${CLASSES}\.gguf\OpenWithProgids"
  DeleteRegKey /ifempty HKCU "${CLASSES}\.gguf"
  DeleteRegKey HKCU "${CLASSES}\Applications\ChatBELLE.exe"
  ${RefreshShellIcons}
SectionEnd

; Only ever the usual folder: one that CHATBELLE_HOME names may hold other things. `rd` removes a link to
; another disk, and not what it leads to.
Section /o "un.$(DATA_SECTION)" UN_DATA
  ${If} ${FileExists} "${DATA}\*.*"
    nsExec::Exec 'cmd /d /c rd /s /q "${DATA}"'
    Pop $0
    ${If} ${FileExists} "${DATA}\*.*"
      SetErrorLevel ${EXIT_REFUSED}
      MessageBox MB_OK|MB_ICONEXCLAMATION "$(DATA_LEFT)" /SD IDOK
    ${EndIf}
  ${EndIf}
SectionEnd

Function .onInit
  SetShellVarContext current
  ${IfNot} ${RunningX64}
  ${OrIfNot} ${AtLeastWin10}
    MessageBox MB_OK|MB_ICONSTOP "$(TOO_OLD)" /SD IDOK
    SetErrorLevel ${EXIT_REFUSED}
    Quit
  ${EndIf}
FunctionEnd

Function un.onInit
  SetShellVarContext current
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/DELETEDATA" $1
  ${IfNot} ${Errors}
    SectionSetFlags ${UN_DATA} ${SF_SELECTED}
  ${EndIf}
FunctionEnd

!insertmacro MUI_FUNCTION_DESCRIPTION_BEGIN
  !insertmacro MUI_DESCRIPTION_TEXT ${PROGRAM} "$(ABOUT_PROGRAM)"
  !insertmacro MUI_DESCRIPTION_TEXT ${OPEN_WITH_SECTION} "$(ABOUT_OPEN_WITH)"
  !insertmacro MUI_DESCRIPTION_TEXT ${DESKTOP_SECTION} "$(ABOUT_DESKTOP)"
!insertmacro MUI_FUNCTION_DESCRIPTION_END
!insertmacro MUI_UNFUNCTION_DESCRIPTION_BEGIN
  !insertmacro MUI_DESCRIPTION_TEXT ${UN_PROGRAM} "$(ABOUT_UN_PROGRAM)"
  !insertmacro MUI_DESCRIPTION_TEXT ${UN_DATA} "$(ABOUT_UN_DATA)"
!insertmacro MUI_UNFUNCTION_DESCRIPTION_END
