"""What is written into the programs for Windows: the version that Explorer shows, and the manifest."""

from __future__ import annotations

from pathlib import Path

from product import NAME, PUBLISHER, ROOT, Product, find_product

_FOLDER = ROOT / "build" / "windows"
_DESCRIPTIONS = {
    "ChatBELLE.exe": {"0409": "ChatBELLE, offline chat", "0804": "ChatBELLE 离线聊天"},
    "chatbelle.com": {"0409": "ChatBELLE for the terminal", "0804": "ChatBELLE 终端版"},
    "belle-convert.exe": {"0409": "BELLE model converter", "0804": "BELLE 模型转换器"},
}
"""By program, then by language: what the task manager calls it (US English, Simplified Chinese)."""

_UTF_16 = 1200

_MANIFEST = """\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <trustInfo xmlns="urn:schemas-microsoft-com:asm.v3">
    <security>
      <requestedPrivileges>
        <requestedExecutionLevel level="asInvoker" uiAccess="false"/>
      </requestedPrivileges>
    </security>
  </trustInfo>
  <compatibility xmlns="urn:schemas-microsoft-com:compatibility.v1">
    <application>
      <supportedOS Id="{8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a}"/>
    </application>
  </compatibility>
  <application xmlns="urn:schemas-microsoft-com:asm.v3">
    <windowsSettings>
      <activeCodePage xmlns="http://schemas.microsoft.com/SMI/2019/WindowsSettings">UTF-8</activeCodePage>
      <longPathAware xmlns="http://schemas.microsoft.com/SMI/2016/WindowsSettings">true</longPathAware>
      <dpiAware xmlns="http://schemas.microsoft.com/SMI/2005/WindowsSettings">true</dpiAware>
      <dpiAwareness xmlns="http://schemas.microsoft.com/SMI/2016/WindowsSettings">PerMonitorV2</dpiAwareness>
    </windowsSettings>
  </application>
  <dependency>
    <dependentAssembly>
      <assemblyIdentity type="win32" name="Microsoft.Windows.Common-Controls" version="6.0.0.0"
        processorArchitecture="*" publicKeyToken="6595b64144ccf1df" language="*"/>
    </dependentAssembly>
  </dependency>
</assembly>
"""


def manifest() -> str:
    """The programs' manifest: what llama.cpp opens by a narrow name is UTF-8 on every machine's code page,
    paths may be long, and nothing is scaled by Windows or run as administrator.
    """
    return _MANIFEST


def version_resource(program: str) -> Path:
    """A file for PyInstaller's EXE: the version resource of the program of this name, in both languages.

    Raises KeyError for a program that has none, and PackagingError.
    """
    name = program.removesuffix(".exe") if program.endswith(".com.exe") else program
    path = _FOLDER / f"{name}.version.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(version_text(name, find_product()), encoding="utf-8")
    return path


def version_text(name: str, product: Product) -> str:
    """The expression that PyInstaller evaluates (see `pyi-grab_version`)."""
    tables, translations = [], []
    for language, description in _DESCRIPTIONS[name].items():
        values = {
            "CompanyName": PUBLISHER,
            "FileDescription": description,
            "FileVersion": product.version,
            "InternalName": name,
            "LegalCopyright": "Apache-2.0",
            "OriginalFilename": name,
            "ProductName": NAME,
            "ProductVersion": product.version,
        }
        texts = ", ".join(f"StringStruct({key!r}, {value!r})" for key, value in values.items())
        tables.append(f"StringTable('{language}{_UTF_16:04x}', [{texts}])")
        translations += [int(language, 16), _UTF_16]
    return (
        "VSVersionInfo("
        f"ffi=FixedFileInfo(filevers={product.numbers}, prodvers={product.numbers}), "
        f"kids=[StringFileInfo([{', '.join(tables)}]), "
        f"VarFileInfo([VarStruct('Translation', {translations})])])\n"
    )
