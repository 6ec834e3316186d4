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

// Until our page has come, Flet's client draws a screen of its own, in English and other colours. The splash stays
// above it until the page sets the title, or for a while if it never does.
(function () {
  const TITLE = "ChatBELLE";
  const LATEST_MS = 10000;
  const observer = new MutationObserver(function () {
    if (document.title === TITLE) {
      observer.disconnect();
      requestAnimationFrame(function () {
        requestAnimationFrame(removeSplash);
      });
    }
  });
  function removeSplash() {
    const splash = document.getElementById("splash");
    if (splash) {
      splash.remove();
    }
  }
  observer.observe(document.head, { subtree: true, childList: true, characterData: true });
  window.addEventListener(
    "flutter-first-frame",
    function () {
      setTimeout(removeSplash, LATEST_MS);
    },
    { once: true }
  );
})();
