# Says back what the policy was shown.
package echo

shown := input

# What the caller put into the context.
said := input.context.n
