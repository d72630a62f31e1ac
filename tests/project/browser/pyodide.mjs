// Runs vecprop in Pyodide, the Python of the browser, under Node: `make pyodide`.
//
// node pyodide.mjs FOLDER_OF_THE_NPM_PACKAGE REPOSITORY [WHEEL]
//
// First what needs nothing but the npm package: every module of the standard library that vecprop imports is there,
// every source file compiles, a file is written as `vp.save` writes it, and a thread is refused. Then, with the
// packages of Pyodide's own server, which has NumPy: the wheel is installed as in a notebook, and the lesson is run.
// Exit codes: 0 all of it, 1 something failed, 3 the packages could not be loaded, so only the first part was run.

import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, repository, wheel] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(resolve(folder, "pyodide.mjs")));
const python = await loadPyodide();
python.mountNodeFS("/repository", repository);
python.runPython(readFileSync(`${repository}/tests/project/browser/standard_library.py`, "utf8"));
console.log(python.runPython("check()"));

try {
  await python.loadPackage(["numpy", "micropip", "scikit-learn", "matplotlib", "safetensors"], {
    messageCallback: () => {},
    errorCallback: () => {},
  });
  await python.runPythonAsync("import micropip, numpy");
} catch {
  console.error("The lesson was not run: Pyodide's packages, NumPy among them, could not be loaded from cdn.jsdelivr.net.");
  process.exit(3);
}
const target = `/tmp/${basename(wheel)}`;
python.FS.writeFile(target, readFileSync(wheel));
await python.runPythonAsync(`import micropip; await micropip.install("emfs:${target}")`);
console.log(
  await python.runPythonAsync(`
import sys, json
sys.path.insert(0, "/repository/tests/project/browser")
import classroom
json.dumps(classroom.lesson())`),
);
