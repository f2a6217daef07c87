"""Every error code and its meaning in one sentence; a code keeps its meaning for ever.

| range | what is wrong |
| --- | --- |
| FLX-1xxx | the project file, an option, the use of the command line |
| FLX-2xxx | the definition of a pipeline |
| FLX-3xxx | the data |
| FLX-4xxx | an outside system, a file, a table store |
| FLX-5xxx | recovery and saved state |
| FLX-9xxx | Fluxline itself |

A code that is no longer raised is taken out here, and its number is not given again.
"""

from __future__ import annotations

CODES: dict[str, str] = {
    "FLX-1001": "The project file is missing or cannot be read.",
    "FLX-1002": "The project file is no TOML.",
    "FLX-1003": "The project file has a key that does not exist.",
    "FLX-1004": "A key of the project file has a value of another kind than it takes.",
    "FLX-1005": "A key of the project file has a value that cannot be.",
    "FLX-1006": "A key that the project file needs is missing.",
    "FLX-1007": "An environment does not exist.",
    "FLX-1008": "Environments extend themselves, or too many extend one another.",
    "FLX-1009": "An abstract environment was chosen to run.",
    "FLX-1010": "The project requires another version of Fluxline.",
    "FLX-1012": "No environment is chosen, and the project has no default.",
    "FLX-1013": "A key to unset is not inherited.",
    "FLX-1014": "A connection does not exist in the environment.",
    "FLX-1015": "A name of the pipeline lives nowhere in the environment.",
    "FLX-1016": "A placeholder does not exist.",
    "FLX-1017": "A text looks like a reference to a secret and is none, or names a store that does not exist.",
    "FLX-1018": "A reference leads to no value: the variable is not set, or the file cannot be read.",
    "FLX-1019": "The file of a secret is open to others than its owner.",
    "FLX-1020": "The environment asks for something that this version does not do.",
    "FLX-1021": "An override of the command line is no key and value, or sets what cannot be overridden.",
    "FLX-1022": "An environment has a table that its engine does not read.",
    "FLX-1103": "An option does not exist.",
    "FLX-1104": "A required option is missing.",
    "FLX-1105": "An option has a value of the wrong type.",
    "FLX-1106": "An option has a value that cannot be.",
    "FLX-1107": "A text or value is no duration.",
    "FLX-2104": "A column does not exist in the stream.",
    "FLX-2105": "A column name is there twice.",
    "FLX-2106": "A function does not exist.",
    "FLX-2107": "An operator needs event time and the stream has no time attribute.",
    "FLX-2108": "A column of this type cannot carry event time.",
    "FLX-2110": "A type has parameters that do not exist for it.",
    "FLX-2111": "A type does not exist.",
    "FLX-2112": "A step would leave no column.",
    "FLX-2113": "A function, aggregate, constant or CASE does not fit the types of its arguments.",
    "FLX-2114": "A type cannot be converted to another.",
    "FLX-2115": "An aggregate stands where one value per row is needed.",
    "FLX-2116": "A condition is needed and the expression is not BOOLEAN.",
    "FLX-2117": "A column or aggregate has no name.",
    "FLX-2118": "A column is a bare NULL and has no type.",
    "FLX-2119": "An aggregate is needed and the expression is a value per row.",
    "FLX-2120": "A window has no length.",
    "FLX-2121": "The offset of a window is not shorter than the window.",
    "FLX-2190": "A construct is known and not part of this version.",
    "FLX-2191": "The embedded engine does not run this use of a function, such as a pattern that is no constant.",
    "FLX-4201": "A file or directory does not exist, or there is nothing in it to read.",
    "FLX-4202": "The permissions of a file or directory do not allow its use.",
    "FLX-4203": "The operating system refused an operation on a file or directory.",
    "FLX-4204": "A disk or quota has no room left for a file.",
    "FLX-4205": "A source no longer has the position that was saved.",
    "FLX-4206": "A file shrank, vanished or was replaced while it was read.",
    "FLX-4207": "A compressed file is damaged or ends too early.",
    "FLX-4208": "Another job writes the same files.",
    "FLX-4209": "A path means something that cannot be read or written as files.",
    "FLX-4210": "Standard output or standard error takes no more.",
    "FLX-5001": "Saved data has a newer format than this version reads.",
    "FLX-5002": "Saved data does not have the form that it should have.",
    "FLX-5101": "A file sink would overwrite or mix with rows that are not those of its run.",
    "FLX-5102": "The files of a sink are not as they were at the stop that is to be continued.",
}
