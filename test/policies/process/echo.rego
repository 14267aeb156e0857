# Says back what the policy was shown.
package echo

shown := input
