# Functions of strings.
package differential.texts

joined := concat(input.separator, input.words)

holds if contains(input.text, input.part)

starts if startswith(input.text, input.part)

ends if endswith(input.text, input.part)

at := indexof(input.text, input.part) if input.part != ""

all_at := indexof_n(input.text, input.part)

small := lower(input.text)

large := upper(input.text)

replaced := replace(input.text, input.part, input.separator) if input.part != ""

replaced_all := strings.replace_n({input.part: "<>", "a": "b"}, input.text)

pieces := split(input.text, input.separator)

some_of := substring(input.text, input.from, input.length)

trimmed := trim(input.text, input.part)

trimmed_left := trim_left(input.text, input.part)

trimmed_right := trim_right(input.text, input.part)

trimmed_prefix := trim_prefix(input.text, input.part)

trimmed_suffix := trim_suffix(input.text, input.part)

trimmed_space := trim_space(input.text)

length := count(input.text)

backwards := strings.reverse(input.text)

occurrences := strings.count(input.text, input.part)

shown := sprintf("%s|%v|%d|%5.1f|%q|%x|%-8s|", [input.text, input.words, input.from, input.length, input.part, input.text, input.separator])

odd := sprintf("%d %s %v", [input.text, input.from])

prefixed if strings.any_prefix_match(input.words, [input.part])

suffixed if strings.any_suffix_match(input.words, [input.part])

found := regex.find_n(`[a-zà-ü]+`, input.text, -1)

parts := regex.split(`[\s,]+`, input.text)

masked := regex.replace(input.text, `(\w)(\w*)`, "${1}*")

ordered := sort(input.words)

less if input.text < input.part
