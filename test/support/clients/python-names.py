"""
Writes an interface file as Python classes, one function a member, in the manner of code generators for Python, and
compiles that: for machines without such a generator.
usage: python-names.py FILE
"""
import re
import sys
import xml.etree.ElementTree as ElementTree


def snake_case(name):
    return re.sub('(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()


lines = []
for interface in ElementTree.parse(sys.argv[1]).getroot():
    names = []
    lines.append(f'class {interface.get("name").replace(".", "_")}:')
    for member in interface:
        if member.tag == 'annotation':
            continue
        names.append(snake_case(member.get('name')))
        arguments = [argument.get('name') for argument in member.findall('arg')]
        lines.append(f'    async def {names[-1]}(self, {", ".join(arguments)}): pass')
    if len(names) != len(set(names)):
        sys.exit(f'members of the same name: {sorted(names)}')
compile('\n'.join(lines), sys.argv[1], 'exec')
print(len(lines))
