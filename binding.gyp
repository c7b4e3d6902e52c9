{
  # Used by npm install (node-gyp). CMakeLists.txt builds the same sources (native/sources.gypi) for cross, sanitizer and lint builds.
  "includes": ["native/sources.gypi"],
  "variables": {
    # Empty if libkqueue is not installed: kqueue(2) is then compiled only on macOS.
    "libkqueue_cflags": ["<!@(node scripts/libkqueue.cjs --cflags)"],
    "libkqueue_libs": ["<!@(node scripts/libkqueue.cjs --libs)"]
  },
  "targets": [{
    "target_name": "selectors_native",
    "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
                "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": ["-std=c++20", "-fvisibility=hidden", "-Wall", "-Wextra"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "MACOSX_DEPLOYMENT_TARGET": "13.0",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES"
    },
    "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/std:c++20", "/utf-8"] } },
    "conditions": [
      ["OS=='linux'", {
        "sources": ["<!@(node scripts/unity.cjs <(sources_common) <(sources_posix) <(sources_linux))"],
        # nodelete: Node.js unloads an addon when the worker that loaded it exits, but the addon's signal handlers stay installed.
        "ldflags": ["-Wl,--version-script=<(module_root_dir)/native/exports.ver", "-Wl,-z,nodelete"]
      }],
      ["OS=='mac'", {
        "sources": ["<!@(node scripts/unity.cjs <(sources_common) <(sources_posix) <(sources_kqueue))"],
        "defines": ["SELECTORS_HAVE_KQUEUE=1"]
      }],
      # No such system was at hand: these conditions, and what they compile, are from its documents and headers (docs/platforms.md).
      ["OS=='freebsd' or OS=='openbsd' or OS=='netbsd'", {
        "sources": ["<!@(node scripts/unity.cjs <(sources_common) <(sources_posix) <(sources_kqueue))"],
        "defines": ["SELECTORS_HAVE_KQUEUE=1"],
        "ldflags": ["-Wl,--version-script=<(module_root_dir)/native/exports.ver", "-Wl,-z,nodelete"]
      }],
      ["OS=='solaris'", {
        "sources": ["<!@(node scripts/unity.cjs <(sources_common) <(sources_posix) <(sources_devpoll))"],
        "defines": ["SELECTORS_HAVE_DEVPOLL=1"],
        "ldflags": ["-Wl,-z,nodelete"],
        "libraries": ["-lsocket", "-lnsl"]
      }],
      ["OS=='win'", {
        # One by one: this shows that each source includes what it needs.
        "sources": ["<@(sources_common)", "<@(sources_windows)"],
        "defines": ["WIN32_LEAN_AND_MEAN", "NOMINMAX", "_WIN32_WINNT=0x0A00", "FD_SETSIZE=514"],
        "libraries": ["ws2_32.lib", "iphlpapi.lib"]
      }],
      ["OS=='linux' and libkqueue_libs!=[]", {
        "sources": ["<@(sources_kqueue)"],
        "defines": ["SELECTORS_HAVE_KQUEUE=1"],
        "cflags_cc": ["<@(libkqueue_cflags)"],
        "libraries": ["<@(libkqueue_libs)"]
      }]
    ]
  }],
  "conditions": [["OS!='win'", {
    "targets": [{
      "target_name": "textbook",
      "type": "executable",
      "sources": ["native/textbook/textbook.c"],
      "cflags_c": ["-std=c11", "-Wall", "-Wextra"],
      "ldflags": ["-pthread"],
      "xcode_settings": { "GCC_C_LANGUAGE_STANDARD": "c11", "MACOSX_DEPLOYMENT_TARGET": "13.0" }
    }]
  }]]
}
