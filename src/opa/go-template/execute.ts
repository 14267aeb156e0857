// Tested by test/opa/builtins/template.long.test.ts.
import { sprint } from '../go/printf.ts';
import { GoInt, GoSlice, type GoValue } from '../go/values.ts';
import { BuiltinError } from '../values/builtin.ts';
import type { Charge } from '../values/charge.ts';
import { arities, callFunction, type FunctionName, type Given, isTrue } from './functions.ts';
import { type Branch, mainName, type Node, type Operand, type Pipe, type Templates } from './parser.ts';

/** The argument that a pipeline hands on; there is none at its beginning, which is not the same as no value. */
type Final = Given | typeof missing;
const missing = Symbol('missing');

/**
 * Renders a parsed template as Go's text/template does; what has no value reads `<no value>`.
 *
 * @throws BuiltinError
 */
export function renderTemplate(templates: Templates, data: GoValue, charge: Charge): string {
  const out: string[] = [];
  new Execution(templates, data, out, charge).run(mainName);
  return out.join('');
}

class Execution {
  readonly #templates: Templates;
  readonly #out: string[];
  readonly #charge: Charge;
  readonly #data: Given;
  readonly #variables: { readonly name: string; value: Given }[];

  constructor(templates: Templates, data: Given, out: string[], charge: Charge) {
    this.#templates = templates;
    this.#data = data;
    this.#out = out;
    this.#charge = charge;
    this.#variables = [{ name: '$', value: data }];
  }

  run(name: string): void {
    const nodes = this.#templates.get(name);
    if (nodes === undefined) throw new BuiltinError(`template "${name}" not defined`);
    this.#walk(nodes, this.#data);
  }

  #print(text: string): void {
    this.#charge(1 + text.length / 64);
    this.#out.push(text);
  }

  /** @returns how a range is to go on, where the nodes say so */
  #walk(nodes: readonly Node[], dot: Given): 'break' | 'continue' | undefined {
    for (const node of nodes) {
      this.#charge(1);
      switch (node.kind) {
        case 'text':
          this.#print(node.text);
          break;
        case 'action': {
          const value = this.#pipeline(node.pipe, dot);
          if (node.pipe.declared.length === 0) this.#print(this.#textOf(value));
          break;
        }
        case 'template':
          // It sees no variable from here.
          new Execution(
            this.#templates,
            node.pipe === undefined ? undefined : this.#pipeline(node.pipe, dot),
            this.#out,
            this.#charge,
          ).run(node.name);
          break;
        case 'if':
        case 'with':
        case 'range': {
          const scope = this.#variables.length;
          const next = node.kind === 'range' ? this.#range(node, dot) : this.#choose(node, dot);
          this.#variables.length = scope;
          if (next !== undefined) return next;
          break;
        }
        case 'break':
        case 'continue':
          return node.kind;
      }
    }
    return undefined;
  }

  #textOf(value: Given): string {
    return value === undefined ? '<no value>' : sprint([value], this.#charge);
  }

  #choose({ kind, pipe, list, otherwise }: Branch, dot: Given): 'break' | 'continue' | undefined {
    const value = this.#pipeline(pipe, dot);
    if (isTrue(value)) return this.#walk(list, kind === 'with' ? value : dot);
    return otherwise === undefined ? undefined : this.#walk(otherwise, dot);
  }

  #range({ pipe, list, otherwise }: Branch, dot: Given): 'break' | 'continue' | undefined {
    const value = this.#pipeline(pipe, dot);
    const scope = this.#variables.length;
    let ran = false;
    for (const [index, element] of this.#iterations(value, pipe.declared.length)) {
      ran = true;
      this.#charge(1);
      this.#declare(pipe, index, element);
      const next = this.#walk(list, element);
      this.#variables.length = scope;
      if (next === 'break') break;
    }
    return ran || otherwise === undefined ? undefined : this.#walk(otherwise, dot);
  }

  *#iterations(value: Given, declared: number): Generator<readonly [Given, Given]> {
    if (value === undefined || value === null) return;
    if (value instanceof GoInt) {
      if (declared > 1) throw new BuiltinError('cannot iterate over more than one variable');
      for (let count = 0n; count < value.value; count++) yield [undefined, new GoInt(count, value.type)];
    } else if (value instanceof GoSlice) {
      for (let index = 0; index < value.length; index++) yield [new GoInt(index), value.at(index)];
    } else if (value instanceof Map) {
      yield* value;
    } else {
      throw new BuiltinError('range cannot iterate over this type');
    }
  }

  #declare({ declared, assigns }: Pipe, index: Given, element: Given): void {
    if (declared.length === 0) return;
    const values = declared.length > 1 ? [index, element] : [element];
    for (const [place, name] of declared.entries()) {
      if (assigns) this.#assign(name, values[place]);
      else this.#setTop(declared.length - place, values[place]);
    }
  }

  #setTop(place: number, value: Given): void {
    const variable = this.#variables.at(-place);
    if (variable !== undefined) variable.value = value;
  }

  #assign(name: string, value: Given): void {
    this.#variable(name).value = value;
  }

  #variable(name: string): { value: Given } {
    const variable = this.#variables.findLast((one) => one.name === name);
    if (variable === undefined) throw new BuiltinError(`undefined variable: ${name}`);
    return variable;
  }

  #pipeline(pipe: Pipe, dot: Given): Given {
    let value: Final = missing;
    for (const command of pipe.commands) {
      this.#charge(1);
      // An interface that holds nil counts as no value from here on.
      value = this.#command(command, dot, value) ?? undefined;
    }
    const result: Given = value === missing ? undefined : value;
    for (const name of pipe.declared) {
      if (pipe.assigns) this.#assign(name, result);
      else this.#variables.push({ name, value: result });
    }
    return result;
  }

  #command([first, ...args]: readonly [Operand, ...Operand[]], dot: Given, final: Final): Given {
    const alone = args.length === 0 && final === missing;
    switch (first.kind) {
      case 'field':
        return this.#fields(dot, first.names, alone);
      case 'chain':
        return this.#fields(this.#operand(first.operand, dot), first.names, alone);
      case 'variable': {
        const { value } = this.#variable(first.variable);
        if (first.names.length > 0) return this.#fields(value, first.names, alone);
        if (!alone) throw new BuiltinError('cannot give argument to non-function');
        return value;
      }
      case 'function':
        return this.#call(first.name, args, dot, final);
      case 'nil':
        throw new BuiltinError('nil is not a command');
      default:
        if (!alone) throw new BuiltinError('cannot give argument to non-function');
        return this.#operand(first, dot);
    }
  }

  #operand(operand: Operand, dot: Given): Given {
    switch (operand.kind) {
      case 'dot':
        return dot;
      case 'nil':
        return undefined;
      case 'bool':
      case 'string':
        return operand.value;
      case 'number':
        if (operand.value === undefined) throw new BuiltinError('constant overflows int');
        return operand.value;
      case 'field':
        return this.#fields(dot, operand.names, true);
      case 'variable':
        return this.#fields(this.#variable(operand.variable).value, operand.names, true);
      case 'pipe':
        return this.#pipeline(operand, dot);
      case 'function':
        return this.#call(operand.name, [], dot, missing);
      case 'chain':
        if (operand.operand.kind === 'nil') throw new BuiltinError('indirection through explicit nil');
        return this.#fields(this.#operand(operand.operand, dot), operand.names, true);
    }
  }

  /** @param alone no argument is given, which a field cannot take */
  #fields(receiver: Given, names: readonly string[], alone: boolean): Given {
    let value = receiver;
    for (const [index, name] of names.entries()) {
      if (value === undefined) continue;
      if (!(value instanceof Map)) throw new BuiltinError(`cannot evaluate field ${name}`);
      if (!alone && index === names.length - 1) throw new BuiltinError(`${name} is not a method but has arguments`);
      value = value.get(name);
    }
    return value;
  }

  #call(name: FunctionName, args: readonly Operand[], dot: Given, final: Final): Given {
    const [least, most] = arities[name];
    const given = args.length + (final === missing ? 0 : 1);
    if (given < least || given > most) throw new BuiltinError(`wrong number of args for ${name}`);
    if (name === 'and' || name === 'or') return this.#shortCircuit(name, args, dot, final);
    const values = args.map((arg) => this.#operand(arg, dot));
    if (final !== missing) values.push(final);
    return callFunction(name, values, this.#charge);
  }

  #shortCircuit(name: 'and' | 'or', args: readonly Operand[], dot: Given, final: Final): Given {
    let value: Given;
    for (const arg of args) {
      value = this.#operand(arg, dot);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return final === missing ? value : final;
  }
}
