import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const repository = join(import.meta.dirname, '../..');

/** A directory of policies of its own, with the real library beside them; the library's own tests stay where they are. */
export function policyDirectory(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'postern-author-'));
  cpSync(join(repository, 'rego/postern'), join(directory, 'postern'), {
    recursive: true,
    filter: (name) => !name.endsWith('_test.rego'),
  });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

/** A policy that no lint has anything to say about. */
export const soundPolicy = `package policies.printing

import data.postern

applies if input.resource.type == "printer"

requirements := {
	"owner": {
		"otherwise": "deny",
		"remedy": "print on your own printer",
	},
	"device_fresh": {
		"otherwise": "step_up",
		"remedy": "wait for the next report",
	},
}

met contains "owner" if input.subject.id == data.policies.printing.owner

met contains "device_fresh" if postern.fresh(input.device, 300)

# METADATA
# entrypoint: true
decision := postern.decide(requirements, met, {
	"policy": "printing",
	"step_up": {"acr_values": ["phr"]},
})
`;

/** What reaches every line of it, if not of the library. */
export const soundTest = `package policies.printing_test

import data.policies.printing

test_owner_prints if {
	asked := {
		"resource": {"type": "printer"},
		"subject": {"id": "ann"},
		"caller": {"id": "ann"},
		"device": {"age_s": 1},
	}
	printing.applies with input as asked
	printing.decision.effect == "allow" with input as asked
}
`;

export const soundData = '{"owner": "ann"}\n';
