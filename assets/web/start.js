// What Flet's client reads before it starts. Flet would write this into the page as an inline script, which the
// page's Content-Security-Policy forbids; everything that differs between runs follows from the page's address.
"use strict";

var flet = (function () {
  const base = new URL(document.baseURI).pathname;
  return {
    pyodide: false,
    multiView: false,
    noCdn: true,
    webSocketEndpoint: base + "ws",
    entrypointBaseUrl: base,
    assetBase: base,
    canvasKitBaseUrl: base + "canvaskit/",
    fontFallbackBaseUrl: "assets/fonts/",
    routeUrlStrategy: "path",
    webRenderer: "auto",
  };
})();

flet.flutterAppLoaded = new Promise(function (resolve) {
  flet.flutterAppResolve = resolve;
});

document.documentElement.lang = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh-CN" : "en";

// WebKit restores a page from its back/forward cache with frames that are never drawn; the session is on the
// server and survives a reload.
window.addEventListener("pageshow", function (event) {
  if (event.persisted && navigator.vendor && navigator.vendor.startsWith("Apple")) {
    window.location.reload();
  }
});
